"""params.yaml: closed, typed sections (`section`) and how they are read (`read`)."""

from pipeline.params.read import Params, read_params
from pipeline.params.section import Section

__all__ = ["Params", "Section", "read_params"]
