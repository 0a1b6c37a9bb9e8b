"""What every declaration of the catalogue is made of: frozen, no unknown keys, and names of a known form."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Ident = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
DatasetId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]
CategoryId = Annotated[str, StringConstraints(pattern=r"^PI-\d{3}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]  # ISO 3166
Size = Annotated[str, StringConstraints(pattern=r"^\d{1,6} (MB|GB|TB)$")]
RuleId = Annotated[str, StringConstraints(pattern=r"^RS-\d{2}$")]
Iso8601Period = Annotated[
    str, StringConstraints(pattern=r"^P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?)?$")
]


class Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
