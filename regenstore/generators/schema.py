"""Parameter schemas. They are checked in the parent process, before any worker starts.

A schema is plain data (it can be read from ``regenstore.toml``). Its defaults are part of the generator's contract
version: within a version a default never changes, because recipes that leave the parameter out rely on it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from regenstore.errors import InvalidInput

Scalar = str | int | float | bool
INT64 = range(-(2**63), 2**63)
_DECIMAL = re.compile(r"-?[0-9]{1,100}\Z")


class Param(BaseModel):
    """One parameter. It is required if it has no default and is not ``optional``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["string", "integer", "number", "boolean", "array"]
    description: str = ""
    default: Any = None
    optional: bool = False
    minimum: float | int | None = None
    maximum: float | int | None = None
    choices: tuple[Scalar, ...] | None = None
    max_length: int = 100_000
    items: Literal["string", "integer", "number"] = "string"

    @model_validator(mode="after")
    def _default_is_valid(self) -> Param:
        if self.default is not None:
            try:
                self.check("default", self.default)
            except InvalidInput as error:
                raise ValueError(error.message) from None
        return self

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional

    def check(self, name: str, value: object) -> Any:
        """Convert a value to the parameter's type; raises InvalidInput with what was expected and found."""
        if self.type == "array":
            if not isinstance(value, (list, tuple)):
                raise _bad(name, f"a list of {self.items}s", value)
            if len(value) > self.max_length:
                raise _bad(name, f"at most {self.max_length} items", f"{len(value)} items")
            return [self._chosen(f"{name}[{i}]", v, self.items) for i, v in enumerate(value)]
        return self._chosen(name, value, self.type)

    def _chosen(self, name: str, value: object, kind: str) -> Scalar:
        checked = self._scalar(name, value, kind)
        if self.choices is not None and checked not in self.choices:
            raise _bad(name, "one of " + ", ".join(map(str, self.choices)), value)
        return checked

    def _scalar(self, name: str, value: object, kind: str) -> Scalar:
        if kind == "string":
            if not isinstance(value, str):
                raise _bad(name, "text", value)
            if len(value) > self.max_length:
                raise _bad(name, f"at most {self.max_length} characters", f"{len(value)} characters")
            return value
        if kind == "boolean":
            if not isinstance(value, bool):
                raise _bad(name, "true or false", value)
            return value
        number = self._number(name, value, whole=kind == "integer")
        if self.minimum is not None and number < self.minimum:
            raise _bad(name, f"{self.minimum} or more", value)
        if self.maximum is not None and number > self.maximum:
            raise _bad(name, f"{self.maximum} or less", value)
        return number

    @staticmethod
    def _number(name: str, value: object, *, whole: bool) -> int | float:
        what = "a whole number" if whole else "a number"
        if isinstance(value, str) and whole and _DECIMAL.match(value):
            # Seeds beyond signed 64 bits are decimal strings in recipes, as TOML integers end there.
            return int(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _bad(name, what, value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise _bad(name, "a finite number", value)
            if whole:
                if not value.is_integer():
                    raise _bad(name, what, value)
                return int(value)
        return value

    def parse(self, name: str, text: str) -> Any:
        """Parse a value typed by a user to the form used in recipes (large integers stay text)."""
        value: object = text
        if self.type == "boolean":
            words = {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }
            value = words.get(text.strip().lower(), text)
        elif self.type == "array":
            value = [_typed(part.strip(), self.items) for part in text.split(",")] if text.strip() else []
        else:
            value = _typed(text, self.type)
        checked = self.check(name, value)
        return [_held(item) for item in checked] if isinstance(checked, list) else _held(checked)


def _typed(text: str, kind: str) -> object:
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            whole = text.lstrip("+-").isdigit() and int(text) in INT64
            return int(text) if whole else float(text)
    except ValueError:
        pass
    return text


def _held(value: Any) -> Any:
    """Convert a checked value to the form used in recipes."""
    beyond = isinstance(value, int) and not isinstance(value, bool) and value not in INT64
    return str(value) if beyond else value


def _bad(name: str, expected: str, found: object) -> InvalidInput:
    shown = repr(found) if not isinstance(found, str) or len(found) < 80 else repr(found[:77] + "…")
    return InvalidInput("bad-parameter", f"parameter '{name}': expected {expected}, found {shown}")


class ParamSchema:
    """The parameters of one generator by name, in the order in which help shows them."""

    def __init__(self, params: Mapping[str, Param]) -> None:
        self.params = dict(params)

    def lookup(self, name: str) -> Param:
        """The parameter of that name; raises InvalidInput, which suggests the nearest name."""
        found = self.params.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self.params, n=1, cutoff=0.5)
            also = f"; did you mean '{near[0]}'?" if near else ""
            known = ", ".join(self.params) or "none"
            raise InvalidInput("unknown-parameter", f"unknown parameter '{name}'{also} (known: {known})")
        return found

    def check(self, params: Mapping[str, object]) -> dict[str, Any]:
        """Check parameters, convert them and fill in defaults; optional ones without a value are left out.

        Raises InvalidInput for unknown, missing or invalid parameters.
        """
        for name in params:
            self.lookup(name)
        filled: dict[str, Any] = {}
        for name, param in self.params.items():
            if name in params:
                filled[name] = param.check(name, params[name])
            elif param.default is not None:
                filled[name] = param.check(name, param.default)
            elif param.required:
                raise InvalidInput(
                    "missing-parameter", f"parameter '{name}' is required ({param.description or param.type})"
                )
        return filled
