//! From the options to a play, and the clearing of the stage after it.

use super::{
    super::{
        args::{DemoArgs, Incident},
        ask::executor,
        failure::Failure,
        interrupt::Interrupt,
        terminal::Terminal,
    },
    incidents, jobs, memory, show,
    stage::Stage,
    watch,
};

/// What they run.
const DEMO: &str = include_str!("../../../config/demo.toml");
const I2: &str = include_str!("../../../config/incident-i2.toml");
const I3: &str = include_str!("../../../config/incident-i3.toml");
const I6: &str = include_str!("../../../config/incident-i6.toml");
const I7: &str = include_str!("../../../config/incident-i7.toml");

/// Plays the demo or one incident; the stage is cleared afterwards in any case.
pub fn run(args: &DemoArgs, terminal: &Terminal) -> Result<i32, Failure> {
    executor()?.block_on(async {
        let mut interrupt = Interrupt::listen()?;
        let config = match args.incident {
            Some(Incident::OneNanPoisons) => I2,
            Some(Incident::MemoryGrows) => I3,
            Some(Incident::EveryOtherImageFails) => I6,
            Some(Incident::ImageEngineCrashes) => I7,
            _ => DEMO,
        };
        let mut stage = Stage::set(terminal, config)?;
        let played = match args.incident {
            None => interrupt.or(show::play(&mut stage)).await,
            Some(Incident::CrashLeavesProcesses) => interrupt.or(incidents::crash_leaves_processes(&mut stage)).await,
            Some(Incident::OneNanPoisons) => interrupt.or(watch::one_nan_poisons(&mut stage)).await,
            Some(Incident::MemoryGrows) => interrupt.or(watch::memory_grows(&mut stage)).await,
            Some(Incident::StopsLeaveNothing) => interrupt.or(incidents::stops_leave_nothing(&mut stage)).await,
            Some(Incident::EveryOtherImageFails) => interrupt.or(jobs::every_other_image_fails(&mut stage)).await,
            Some(Incident::ImageEngineCrashes) => interrupt.or(memory::image_engine_crashes(&mut stage)).await,
            Some(Incident::WrapperRespawns) => interrupt.or(incidents::wrapper_respawns(&mut stage)).await,
        };
        let cleared = stage.clear().await;
        played.and(cleared).map(|()| 0)
    })
}
