"""The declarations that the plug-in's entry points name."""

from regenstore.generators.api import Declaration
from regenstore.generators.schema import Param, ParamSchema

ODD = Declaration(
    name="odd",
    version="1",
    summary="misbehaves as told",
    params=ParamSchema({"do": Param(type="string"), "seed": Param(type="integer", default=0)}),
    media_types=("application/octet-stream",),
    implementation="oddities:Odd",
)
MISNAMED = ODD
NO_DECLARATION = "hello"
