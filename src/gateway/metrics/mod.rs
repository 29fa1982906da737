//! `GET /metrics`: the figures in Prometheus' text format.
//!
//! `text` writes the format, `page` says which figures there are. Gauges are taken from the snapshot of the moment in
//! which somebody asks; counters and histograms are kept by [`runtime::metrics`](crate::runtime::metrics). Nothing is
//! done between two questions.

mod page;
mod text;

pub use page::{NAMES, page};

/// What the page is (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
