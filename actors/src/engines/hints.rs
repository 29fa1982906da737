//! What to do about a failure.

use crate::failure::FailureClass;

/// What to do about a failure of this class, as a request without a full stop.
#[must_use]
pub fn hint(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Nan => "check the model file and its precision; a half-precision VAE is the usual cause",
        FailureClass::OomGpu => {
            "give it less to hold (fewer GPU layers, a smaller context or batch) or stop what else holds GPU memory"
        }
        FailureClass::OomHost => "free host memory, or let it map the model file instead of reading it",
        FailureClass::PortInUse => "stop what listens on its port, or leave `port` at 0 so that a free one is assigned",
        FailureClass::MissingCommand => "check `command`: its program must exist and be executable",
        FailureClass::MissingLibrary => "install the library or add its folder to LD_LIBRARY_PATH in `env`",
        FailureClass::BadModel => "check `model_file`: it must exist, be readable, complete, and of a format it knows",
        FailureClass::Driver => "check the GPU driver (nvidia-smi, dmesg); a reboot may be needed",
        FailureClass::Timeout => "if it only needs longer, raise `ready.timeout` or `alive.timeout`",
        FailureClass::Killed => "find out what killed it: the kernel's log names victims of the out-of-memory killer",
        FailureClass::Exit | FailureClass::Unknown => "read its log, which holds its last words",
    }
}
