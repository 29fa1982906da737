//! The names of what may need attention, as events, history, metrics and people have them. A failure of a program that goes
//! on running is named by its class instead. Pure.

/// More and more processes of one service.
pub const RUNAWAY: &str = "runaway";
/// The memory of the machine is nearly all in use.
pub const MEMORY: &str = "memory";
/// Everybody waits for memory.
pub const MEMORY_PRESSURE: &str = "memory_pressure";
/// A service holds more than `limits.ram`.
pub const RAM_LIMIT: &str = "ram_limit";
/// A service holds more and more while nobody uses it.
pub const LEAK: &str = "leak";
/// An actor of the runtime does not answer.
pub const ACTOR_SILENT: &str = "actor_silent";
/// The runtime itself holds more and more.
pub const OWN_MEMORY: &str = "own_memory";
/// The runtime itself has nearly as many descriptors open as it may.
pub const OWN_DESCRIPTORS: &str = "own_descriptors";
