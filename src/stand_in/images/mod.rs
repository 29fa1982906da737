//! Programs that make images on request: AUTOMATIC1111's WebUI and ComfyUI, as far as Greenroom and its tests ask. What
//! they say was read in their sources (`modules/api/api.py`; `server.py`, `execution.py`).

pub mod comfyui;
mod events;
mod options;
mod prompts;
pub mod webui;

pub use options::{ImageOptions, Images, Kind};

use actix_web::web::Data;

/// What the handlers of either share.
#[derive(Debug)]
pub struct Painter {
    /// A WebUI's state.
    pub webui: webui::Webui,
    /// ComfyUI's state.
    pub comfyui: comfyui::Comfyui,
}

impl Painter {
    /// One that makes images like this.
    pub fn new(images: &Images) -> Self {
        Self { webui: webui::Webui::new(images), comfyui: comfyui::Comfyui::new(images) }
    }
}

/// As the handlers have it.
pub type SharedPainter = Data<Painter>;
