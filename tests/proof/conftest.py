"""The film project of the command tests."""

from tests.cli.conftest import film, film_template

__all__ = ["film", "film_template"]
