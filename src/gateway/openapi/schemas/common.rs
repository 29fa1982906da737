//! Shapes that belong to no room of their own. Pure.

use super::all::Shapes;
use crate::gateway::openapi::parts::{boolean, nullable, object, one_of, open_object, text, time};

/// Their shapes.
pub(super) fn common() -> Shapes {
    let error = open_object(
        "Further fields by code: `start_failed` has `class`, `remedy`, `stderr`, `exit_code` and `signal`; \
         `insufficient_memory` has `needed`, `free`, `holders` and `remedy`; `bad_config` and `bad_params` have `problems`.",
        [
            ("message", text("For people.")),
            (
                "type",
                one_of(
                    ["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"],
                    "The kinds that clients of inference servers know.",
                ),
            ),
            ("param", nullable(text("The parameter that is to blame."))),
            ("code", text("For programs.")),
        ],
    );
    vec![
        ("Error", object("Every refusal.", [("error", error), ("src", one_of(["greenroom"], "Not the engine."))])),
        ("Ready", object("", [("ready", boolean("Always `true`; else it is a refusal."))])),
        ("Document", open_object("OpenAPI 3.1.", [("openapi", text(""))])),
        (
            "ModelRequest",
            open_object("What the engine takes.", [("model?", text("A name of `serves`, or the service's own."))]),
        ),
        (
            "Event",
            open_object(
                "Further fields by type.",
                [("id", text("`epoch-sequence`.")), ("at", time("")), ("type", text("For example `service.state`."))],
            ),
        ),
    ]
}
