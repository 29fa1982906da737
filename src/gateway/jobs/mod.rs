//! Jobs over HTTP: how they come in, and what is told and given of them.
//!
//! `routes` has the answers, `submission` reads what is sent in either of its two forms (`written`: JSON, `form`:
//! `multipart/form-data`, whose files go to the disk piece by piece), `made` sends what a job has made (`range`: all or a part
//! of it), `refusals` says which refusal gets which status and code.

mod form;
pub(super) mod made;
mod range;
mod refusals;
pub(super) mod routes;
mod submission;
mod written;
