"""Lines of our libraries that tell a user nothing."""

import logging
import warnings


def quiet_libraries() -> None:
    """Drop Lightning's advertisement, and a warning that it raises about its own use of torch."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in record.getMessage()
    )
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
