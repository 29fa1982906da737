//! The judge, with simulated time and with an hour of real services.

mod failures;
mod growth;
mod hour;
mod machine;
mod services;
mod steady;
mod world;
