"""What the examples share: options, data and one style of pictures.

None of it is needed in a script of your own.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

DATA = Path(__file__).parent / "data"
STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "legend.title_fontsize": "small",
}


def start(description: str) -> bool:
    """Read the options of a script, and set the style of pictures.

    With `--cache FOLDER`, JAX keeps compiled programs in a folder.

    Returns:
        Whether the script was asked to be quick, by `--small`: with fewer draws and
        steps, to see that it runs.
    """
    plt.rcParams.update(STYLE)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--small", action="store_true", help="fewer draws and steps, to try it out"
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep what is compiled there, for the next run to start sooner",
    )
    # A notebook has arguments of its own.
    options = parser.parse_known_args()[0]
    if options.cache is not None:
        jax.config.update("jax_compilation_cache_dir", options.cache)
        # JAX would leave out what compiles within a second.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return options.small


def read_columns(name: str) -> dict[str, np.ndarray]:
    """The columns of a file in `data`, by their names."""
    lines = (DATA / name).read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    table = np.genfromtxt(rows, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return {column: table[column] for column in table.dtype.names or ()}


def save(name: str) -> None:
    """Write the last picture to the current folder, and say where it is."""
    path = Path(name).with_suffix(".png").resolve()
    plt.gcf().savefig(path, dpi=100)
    print(f"The picture is {path}")
