from .importance import Pool as Pool, sample_pool as sample_pool
from .psis import (
    effective_sample_size as effective_sample_size,
    in_words as in_words,
    largest_k_hat as largest_k_hat,
    pareto_smooth as pareto_smooth,
)
from .student import Students as Students, draw_students as draw_students
