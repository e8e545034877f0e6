"""The errors of RFC 7644 §3.12, one class per ``scimType``, as scim2-models defines them.

Each carries ``status``, ``scim_type`` and a ``detail`` that names the attribute and the way out. What is
raised here is safe to show to a client: it never holds an internal.
"""

from scim2_models import (
    InvalidFilterException as InvalidFilter,
    InvalidPathException as InvalidPath,
    InvalidSyntaxException as InvalidSyntax,
    InvalidValueException as InvalidValue,
    MutabilityException as Immutable,
    NoTargetException as NoTarget,
    SCIMException as ScimError,
)

__all__ = ["Immutable", "InvalidFilter", "InvalidPath", "InvalidSyntax", "InvalidValue", "NoTarget", "ScimError"]
