from .entropy import (
    entropy as entropy,
    gaussian_entropy as gaussian_entropy,
    kl_divergence as kl_divergence,
    laplacian_entropy as laplacian_entropy,
)
from .estimate import (
    OF_ONE_MODEL as OF_ONE_MODEL,
    AbstractEstimate as AbstractEstimate,
    check_model as check_model,
    refuse as refuse,
)
from .free import (
    free_columns as free_columns,
    free_dtype as free_dtype,
    free_means as free_means,
    free_stdvs as free_stdvs,
    replace_free_means as replace_free_means,
)
from .freeze import (
    freeze_means as freeze_means,
    freeze_params as freeze_params,
    freeze_stdvs as freeze_stdvs,
    unfreeze_all as unfreeze_all,
)
from .introspect import (
    compute_prior as compute_prior,
    flatten_means as flatten_means,
    flatten_raw_stdvs as flatten_raw_stdvs,
    flatten_stdvs as flatten_stdvs,
    get_parameter_count as get_parameter_count,
    get_parameter_groups as get_parameter_groups,
    get_parameters as get_parameters,
    unflatten_means as unflatten_means,
)
from .module import Module as Module
from .sample import (
    draw_from_noise as draw_from_noise,
    draw_if as draw_if,
    noise_size as noise_size,
    sample_all_parameters as sample_all_parameters,
    sample_with_log_prob as sample_with_log_prob,
)
from .table import (
    ParameterRow as ParameterRow,
    ParameterTable as ParameterTable,
    column_text as column_text,
    entry_name as entry_name,
    has_values as has_values,
    parameter_table as parameter_table,
    spell as spell,
    table_html as table_html,
)
from .tree import (
    Model as Model,
    flatten_named as flatten_named,
    map_parameters as map_parameters,
    name_of as name_of,
    ravel_all as ravel_all,
    replace_mean as replace_mean,
)
