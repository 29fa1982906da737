//! Memory in the configuration: what services say of it, what there is, and what is refused or doubted.

mod engines;
mod given;
mod keys;
mod refused;
mod room;
