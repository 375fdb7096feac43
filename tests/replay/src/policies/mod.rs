//! Policies of giving idle memory back, side by side.
//!
//! A simulation: the heap is real, the time is the trace's, and the memory is an
//! account. Each policy plays the same loads ([`Load`]) on a heap of its own
//! ([`Ground`]) over a backing that charges what releasing and taking back cost
//! ([`Prices`], which [`calibrate`] measures). What counts is how much stays
//! resident above what lives, for how long, and what that saved or cost.
//!
//! The files, from the bottom up: `prices`, `account`, `priced`; `policy` (the
//! policies, a file each); `load`, `limit`, `play`, `ground`; `family`, `report`, `table`
//! and `pictures`; `run`, and `calibrate` beside it.

mod account;
mod calibrate;
mod family;
mod ground;
mod limit;
mod load;
mod options;
mod pictures;
mod play;
mod policy;
mod priced;
mod prices;
mod report;
mod run;
mod table;

pub use account::Charges;
pub use calibrate::{Calibration, calibrate};
pub use family::{Family, Point};
pub use ground::{Driven, Ground};
pub use limit::Limited;
pub use load::{Churn, Load, Phase};
pub use options::{CalibrateOptions, PoliciesOptions, PriceOptions};
pub use play::{Outcome, Subject, WAIT_MS, play};
pub use policy::{Kind, MS, Policy, Preset, Scene, Since};
pub use priced::Priced;
pub use prices::{FRAMES, Prices};
pub use report::{CyclesReport, LimitReport, LoadReport, PoliciesReport, PolicyReport};
pub use run::run_policies;
