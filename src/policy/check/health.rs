//! What is counted of each route.

use crate::health::Settings;
use crate::health::outcome::Errors;
use crate::health::statuses::{GrpcSet, StatusSet};
use crate::policy::raw;

/// The settings of each route, in order. Nothing in them can be wrong: statuses are checked as they
/// are read, and an empty list means that nothing is an error.
pub fn settings(raw: &raw::Policy) -> Vec<Settings> {
    let report = raw.report.as_ref();
    let hosts = report.and_then(|report| report.hosts).unwrap_or(true);
    let bytes = report.and_then(|report| report.bytes).unwrap_or(false);
    let routes = raw.routes.iter().flat_map(|routes| &routes.0);
    let settings = routes.map(|(_, route)| Settings {
        errors: route.health.as_ref().map_or_else(Errors::default, errors),
        hosts,
        bytes,
    });
    settings.collect()
}

fn errors(raw: &raw::Health) -> Errors {
    let statuses = raw.errors.as_ref().map_or_else(StatusSet::default, |list| {
        let ranges: Vec<(u16, u16)> = list.iter().map(|statuses| statuses.0).collect();
        StatusSet::of(&ranges)
    });
    let grpc = raw
        .grpc_errors
        .as_ref()
        .map_or_else(GrpcSet::default, |list| {
            let numbers = list
                .iter()
                .filter_map(|status| u32::try_from(status.0).ok());
            let statuses: Vec<u32> = numbers.collect();
            GrpcSet::of(&statuses)
        });
    Errors { statuses, grpc }
}
