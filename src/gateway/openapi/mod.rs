//! What there is over HTTP, as one table, and the OpenAPI document that is made of it.
//!
//! `endpoints` is the table of paths, `codes` that of refusals, `schemas` are the shapes of what is answered; `document`
//! puts them together. Tests hold the tables to the routes in the code and to `docs/http.md`, and the shapes to what a
//! running Greenroom answers.

mod codes;
mod document;
mod endpoints;
mod parts;
mod schemas;

pub use codes::{CODES, Code};
pub use document::document;
pub use endpoints::{Answer, Body, ENDPOINTS, Endpoint, Group, Parameter};
