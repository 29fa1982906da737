//! All shapes together. Pure.

use serde_json::{Map, Value};

use super::{common, jobs, memory, models, past, remotes, services, watch};

/// Shapes with their names.
pub(super) type Shapes = Vec<(&'static str, Value)>;

/// All of them, by name.
pub fn schemas() -> Map<String, Value> {
    let rooms = [
        common::common(),
        services::services(),
        remotes::remotes(),
        memory::memory(),
        memory::plans(),
        jobs::jobs(),
        watch::watch(),
        past::history(),
        past::reloads(),
        models::models(),
    ];
    rooms.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
