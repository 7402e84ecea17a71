//! What the program says about itself to machines: log lines and metrics. The only place that names log fields and
//! metrics.
//!
//! ```text
//!  events ─► log                    a line each, as it happens
//!  board, store, budgets ─► metrics     read when somebody asks, nothing is paid in between
//!                              ├─► text: Prometheus comes and reads
//!                              └─► otlp: sent every so often, when the environment says where to
//! ```

mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;

pub use log::{decided, happened};
