"""What the capabilities of the registry of models are asked with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["Alias", "Fence", "Generation", "InsteadOf", "MlflowId", "Name", "Number", "Why"]

Name = Annotated[str, Field(min_length=1, max_length=80, description="Name of the model.")]
Number = Annotated[int, Field(ge=1, le=10**9, description="Number of the version.")]
Alias = Annotated[str, Field(min_length=1, max_length=40, description="champion, challenger, production, or your own.")]
Why = Annotated[str, Field(max_length=500, description="The reason, kept in the history.")]
InsteadOf = Annotated[
    int | None,
    Field(ge=1, le=10**9, description="Refuse unless this version holds the alias now: nobody moved it meanwhile."),
]
Fence = Annotated[
    int | None, Field(ge=1, description="Number of your reservation of model:NAME, where agents reserve models.")
]
Generation = Annotated[
    int | None,
    Field(ge=0, le=10**9, description="Refuse unless the alias has moved so often (see history): nobody moved it."),
]
MlflowId = Annotated[str | None, Field(max_length=80, description="Where MLflow shows it already.")]
