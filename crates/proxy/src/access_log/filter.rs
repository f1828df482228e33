//! Which records are written.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/accesslog/v3/accesslog.proto>.

use engine::matcher::Header;
use ir::Fraction;
use ir::access_log::{AccessLogFilter, Comparison, LogType};

use super::Flags;
use crate::format::Entry;

/// A compiled [`AccessLogFilter`].
#[derive(Debug)]
pub enum LogFilter {
    All,
    Flags(Flags),
    Status(Comparison),
    /// Milliseconds.
    Duration(Comparison),
    NotHealthCheck,
    Traceable,
    Runtime {
        share: Fraction,
        independent: bool,
    },
    And(Vec<LogFilter>),
    Or(Vec<LogFilter>),
    Header(Box<Header>),
    GrpcStatus {
        statuses: Vec<u32>,
        exclude: bool,
    },
    LogType {
        types: Vec<LogType>,
        exclude: bool,
    },
}

impl LogFilter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// What cannot be compiled, by field.
    pub fn compile(filter: &AccessLogFilter) -> Result<Self, engine::Problem> {
        let all = |filters: &[AccessLogFilter], name: &str| {
            let compiled = filters.iter().enumerate().map(|(index, filter)| {
                Self::compile(filter).map_err(|problem| problem.inside(format!("{name}.filters[{index}]")))
            });
            compiled.collect::<Result<Vec<_>, _>>()
        };
        Ok(match filter {
            AccessLogFilter::ResponseFlags(names) if names.is_empty() => LogFilter::Flags(Flags::ALL),
            AccessLogFilter::ResponseFlags(names) => LogFilter::Flags(
                Flags::by_names(names).map_err(|why| engine::Problem::new("response_flag_filter", why))?,
            ),
            AccessLogFilter::Status(it) => LogFilter::Status(*it),
            AccessLogFilter::Duration(it) => LogFilter::Duration(*it),
            AccessLogFilter::NotHealthCheck => LogFilter::NotHealthCheck,
            AccessLogFilter::Traceable => LogFilter::Traceable,
            AccessLogFilter::Runtime { share, independent } => {
                LogFilter::Runtime { share: *share, independent: *independent }
            }
            AccessLogFilter::And(filters) => LogFilter::And(all(filters, "and_filter")?),
            AccessLogFilter::Or(filters) => LogFilter::Or(all(filters, "or_filter")?),
            AccessLogFilter::Header(header) => LogFilter::Header(Box::new(
                Header::compile(header).map_err(|problem| problem.inside("header_filter.header"))?,
            )),
            AccessLogFilter::GrpcStatus { statuses, exclude } => {
                LogFilter::GrpcStatus { statuses: statuses.clone(), exclude: *exclude }
            }
            AccessLogFilter::LogType { types, exclude } => {
                LogFilter::LogType { types: types.clone(), exclude: *exclude }
            }
        })
    }

    /// Whether a response with that status may be written, whatever else comes of it.
    pub fn may_pass(&self, status: u16) -> bool {
        match self {
            LogFilter::Status(it) => it.holds(status.into()),
            LogFilter::And(filters) => filters.iter().all(|filter| filter.may_pass(status)),
            LogFilter::Or(filters) => filters.iter().any(|filter| filter.may_pass(status)),
            LogFilter::Traceable => false,
            _ => true,
        }
    }

    /// Whether a record is written. `roll` is asked by filters that choose at random.
    pub fn passes(&self, entry: &Entry<'_>, roll: &dyn Fn() -> u64) -> bool {
        let record = entry.record;
        match self {
            LogFilter::All => true,
            LogFilter::Flags(flags) => record.flags.intersects(*flags),
            LogFilter::Status(it) => it.holds(record.status.into()),
            LogFilter::Duration(it) => {
                it.holds(u64::try_from(record.started.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            LogFilter::NotHealthCheck => !record.health_check,
            // Nothing is traced.
            LogFilter::Traceable => false,
            LogFilter::Runtime { share, independent } => {
                let number = if *independent { None } else { id_number(entry) };
                number.unwrap_or_else(roll) % 1_000_000 < u64::from(share.parts_per_million)
            }
            LogFilter::And(filters) => filters.iter().all(|filter| filter.passes(entry, roll)),
            LogFilter::Or(filters) => filters.iter().any(|filter| filter.passes(entry, roll)),
            LogFilter::Header(header) => match entry.headers.head() {
                Some(head) => header.matches(head),
                None => header.matches(&engine::request::PlainRequest::default()),
            },
            LogFilter::GrpcStatus { statuses, exclude } => {
                let of_http = || engine::grpc::status_of_http(record.status);
                statuses.contains(&record.grpc_status.unwrap_or_else(of_http)) != *exclude
            }
            LogFilter::LogType { types, exclude } => types.contains(&record.kind) != *exclude,
        }
    }
}

/// The first eight digits of the request's id.
fn id_number(entry: &Entry<'_>) -> Option<u64> {
    let id = entry.headers.request("x-request-id")?;
    u64::from_str_radix(std::str::from_utf8(id.get(..8)?).ok()?, 16).ok()
}
