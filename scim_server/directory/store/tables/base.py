"""What all tables share: names of constraints, and the types that are not every database's."""

from sqlalchemy import MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def ordered() -> TypeEngine[str]:
    """Text that sorts by code point on both databases, as Python does."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def json() -> TypeEngine[str]:
    """JSON text; PostgreSQL keeps it parsed, so that filters need not."""
    return Text().with_variant(JSONB(), "postgresql")
