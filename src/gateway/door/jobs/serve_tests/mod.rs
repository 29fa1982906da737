//! Requests for images by clients that know nothing of jobs, against a queue of the test.

mod answers;
mod studio;
mod waits;
