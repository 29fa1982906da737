//! What an error of NVML means: nothing there, the driver is broken, a card is lost, or a figure is not to be had.
//!
//! The meanings are those of `nvmlReturn_t` in NVIDIA's `nvml.h`.

use nvml_wrapper::error::NvmlError;

use crate::os::gpu::GpuError;

/// The backend's name.
pub(super) const NAME: &str = "nvml";

/// What `dlopen` says of a file that is not there (glibc and musl).
const NO_FILE: [&str; 2] = ["No such file", "Error loading shared library"];

/// Why the library could not be begun.
pub(super) fn of_opening(library: &str, error: &NvmlError) -> GpuError {
    let absent = |problem: String| GpuError::Absent { backend: NAME, problem };
    let failed = |problem: String| GpuError::Failed { backend: NAME, problem };
    match error {
        NvmlError::LibloadingError(cause) if NO_FILE.iter().any(|text| cause.to_string().contains(text)) => {
            absent(format!(
                "`{library}` is not there: install NVIDIA's driver, pass it into the container (--gpus all), or say \
                 where it is with resources.nvml_library"
            ))
        }
        NvmlError::LibloadingError(cause) => failed(format!(
            "`{library}` cannot be loaded ({cause}): reinstall NVIDIA's driver, or name another file with \
             resources.nvml_library"
        )),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => absent(format!(
            "`{library}` is not NVML or belongs to a driver that is too old ({error}): update NVIDIA's driver"
        )),
        NvmlError::DriverNotLoaded => absent(
            "the library is there and the kernel module is not loaded: load it (modprobe nvidia), or pass the devices \
             into the container (--gpus all)"
                .to_owned(),
        ),
        NvmlError::LibRmVersionMismatch => failed(
            "the driver in the kernel and its library are of different versions, as after an update: reboot, or load \
             the kernel module anew"
                .to_owned(),
        ),
        NvmlError::NoPermission => {
            failed("this user may not ask the driver: see the rights of /dev/nvidiactl".to_owned())
        }
        other => failed(other.to_string()),
    }
}

/// No card.
pub(super) fn no_card() -> GpuError {
    let problem = "the driver works and has no card: see `nvidia-smi -L`, and in a container what is passed in";
    GpuError::Absent { backend: NAME, problem: problem.to_owned() }
}

/// The driver as a whole.
pub(super) fn of_driver(error: &NvmlError) -> GpuError {
    GpuError::Failed { backend: NAME, problem: error.to_string() }
}

/// Whether an error says something of the driver, and not of the card that was asked about.
pub(super) fn is_of_driver(error: &NvmlError) -> bool {
    matches!(error, NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch)
}

/// Whether a figure that not every card has is missing for a reason that concerns the card as a whole. With any other
/// error the figure is simply not to be had: not supported, not permitted, no data.
pub(super) fn is_fatal(error: &NvmlError) -> bool {
    is_of_driver(error) || matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::IrqIssue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_and_what_is_broken_are_told_apart() {
        let of = |error: NvmlError| of_opening("libnvidia-ml.so.1", &error);
        for absent in [NvmlError::DriverNotLoaded, NvmlError::FailedToLoadSymbol("nvmlInit_v2".to_owned())] {
            assert!(matches!(of(absent), GpuError::Absent { .. }));
        }
        for failed in [NvmlError::LibRmVersionMismatch, NvmlError::NoPermission, NvmlError::Unknown] {
            assert!(matches!(of(failed), GpuError::Failed { .. }));
        }
    }

    #[test]
    fn a_missing_figure_is_not_a_lost_card() {
        for missing in [NvmlError::NotSupported, NvmlError::NoPermission, NvmlError::NoData, NvmlError::Unknown] {
            assert!(!is_fatal(&missing));
        }
        assert!(is_fatal(&NvmlError::GpuLost) && !is_of_driver(&NvmlError::GpuLost));
        assert!(is_of_driver(&NvmlError::DriverNotLoaded) && is_fatal(&NvmlError::DriverNotLoaded));
    }
}
