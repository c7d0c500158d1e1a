from .normal_tail import (
    log_ndtr as log_ndtr,
    quantile as quantile,
    stretch as stretch,
)
from .small_matrices import (
    small_cholesky as small_cholesky,
    solve_lower as solve_lower,
    solve_upper as solve_upper,
)
from .stirling import (
    HALF_LOG_2_PI as HALF_LOG_2_PI,
    STIRLING_FROM as STIRLING_FROM,
    deviance as deviance,
    scaled_beta_density as scaled_beta_density,
    scaled_gamma_density as scaled_gamma_density,
    stirling_remainder as stirling_remainder,
)
from .student_t import (
    student_t_log_density as student_t_log_density,
    student_t_log_survival as student_t_log_survival,
)
from .weighted import (
    quantiles as quantiles,
    quantiles_of_sorted as quantiles_of_sorted,
    sort_weighted as sort_weighted,
)
