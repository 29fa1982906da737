mod standing;
pub use standing::StandingAlert;
