//! Cards, needs, refusals and plans. Pure.

use serde_json::Value;

use super::{all::Shapes, services::lease_state};
use crate::gateway::openapi::parts::{
    any_of, boolean, list, map, nullable, number, object, one_of, shape, text, whole,
};

/// Their shapes.
pub(super) fn memory() -> Shapes {
    let amounts = object(
        "Bytes, and whole numbers of further pools.",
        [("vram", map(whole(""), "By the card's UUID.")), ("ram", whole("")), ("custom?", map(whole(""), "By pool."))],
    );
    let room = object("", [("capacity", whole("At the very most.")), ("free", whole("Now."))]);
    vec![
        ("Amounts", amounts),
        ("Room", room),
        (
            "Need",
            object(
                "What a service needs.",
                [
                    ("source", need_source("Of the GPU figure.")),
                    ("vram", nullable(whole("With everything on the card."))),
                    ("ram", whole("")),
                    ("ram_source", need_source("")),
                    ("layers", nullable(whole("Of the model."))),
                ],
            ),
        ),
        (
            "Pool",
            any_of([
                one_of(["ram"], ""),
                object("", [("vram", text("The card's UUID."))]),
                object("", [("custom", text("The pool's name."))]),
            ]),
        ),
        (
            "Refusal",
            object(
                "Why there is no memory.",
                [
                    ("service", text("")),
                    (
                        "kind",
                        any_of([
                            one_of(["too_large", "in_the_way", "not_in_time"], ""),
                            object("", [("no_card", object("", [("problem", text(""))]))]),
                        ]),
                    ),
                    (
                        "missing",
                        list(object(
                            "",
                            [
                                ("pool", shape("Pool")),
                                ("needed", whole("")),
                                ("free", whole("")),
                                ("capacity", whole("")),
                            ],
                        )),
                    ),
                    (
                        "holders",
                        list(object(
                            "",
                            [
                                ("service", nullable(text("`null`: another program."))),
                                ("pool", shape("Pool")),
                                ("amount", whole("")),
                                ("why", text("Why it stays.")),
                                ("needed_by?", text("A service that needs it.")),
                            ],
                        )),
                    ),
                ],
            ),
        ),
        (
            "Card",
            object(
                "",
                [
                    ("id", text("Its UUID.")),
                    ("index", whole("")),
                    ("name", text("")),
                    ("state", one_of(["works", "lost"], "")),
                    ("problem", nullable(text(""))),
                    ("total", whole("")),
                    ("used", nullable(whole("By whomever."))),
                    ("services", map(whole(""), "By service.")),
                    ("strangers", whole("By other programs.")),
                    ("free", whole("May be given out now.")),
                    ("capacity", whole("May be given out at the very most.")),
                    ("utilization", nullable(whole("Percent."))),
                    ("temperature", nullable(whole("Degrees Celsius."))),
                ],
            ),
        ),
        (
            "Memory",
            object(
                "",
                [
                    ("backend", one_of(["nvml", "amdgpu", "declared", "none"], "Who measures.")),
                    ("problem", nullable(text("What is wrong with the driver as a whole."))),
                    ("age", nullable(number("Seconds since the cards were measured."))),
                    ("cards", list(shape("Card"))),
                    ("ram", shape("Room")),
                    ("custom", map(shape("Room"), "By pool.")),
                    (
                        "leases",
                        map(
                            object(
                                "",
                                [
                                    ("run_id", text("")),
                                    ("state", lease_state()),
                                    ("amounts", shape("Amounts")),
                                    ("gpu_layers", nullable(whole(""))),
                                    ("measured", shape("Amounts")),
                                    ("idle_for", nullable(number("Seconds since it worked last."))),
                                ],
                            ),
                            "By service.",
                        ),
                    ),
                    ("needs", map(shape("Need"), "By service.")),
                    (
                        "waiting",
                        list(object("", [("service", text("")), ("reason", text("")), ("waited", number("Seconds."))])),
                    ),
                    ("reclaim_timeouts", whole("Memory that was not measured back in time.")),
                ],
            ),
        ),
    ]
}

/// Their shapes.
pub(super) fn plans() -> Shapes {
    vec![(
        "Plan",
        object(
            "",
            [
                ("service", text("")),
                ("resident", boolean("Whether it is in memory already.")),
                ("need", shape("Need")),
                ("gpus", list(text("A card's UUID."))),
                ("gpu_layers", nullable(whole(""))),
                ("lease", shape("Amounts")),
                (
                    "offload",
                    list(object(
                        "Who would leave, in this order.",
                        [
                            ("service", text("")),
                            ("busy", boolean("")),
                            ("gives", shape("Amounts")),
                            ("cost", number("Seconds of loading that are likely to come.")),
                        ],
                    )),
                ),
                ("refusal", nullable(shape("Refusal"))),
                ("because", list(text(""))),
            ],
        ),
    )]
}

/// Where a figure comes from.
fn need_source(description: &str) -> Value {
    one_of(["user", "calibrated", "engine", "estimate", "file_size", "unknown", "nothing"], description)
}
