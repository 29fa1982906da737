//! The incidents that Greenroom exists to end, each as it happened.

#[path = "../common/mod.rs"]
mod common;
mod i1_memory_held_after_a_crash;
mod i2_one_nan_poisons_the_engine;
mod i3_memory_grows_unnoticed;
mod i4_growth_over_many_runs;
mod i5_processes_without_end;
mod i5_wrapper_respawns_workers;
mod i6_every_other_image_fails;
mod i7_offload_image_reload;
