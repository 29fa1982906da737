//! `[job.NAME]`: how a job is done, what it is given, and what is refused.

mod given;
mod kinds;
mod params;
mod process;
mod request;
