//! Metrics as the message that collectors take: OTLP 1, everything cumulative since the program started.
//!
//! The names stay those of Prometheus, `_total` included, so that one dashboard and one set of alerts serve both ways.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use crate::telemetry::metrics::{FAMILIES, Family, Kind, Number, Snapshot};

/// All that is known, and whose it is.
pub fn message(snapshot: &Snapshot, resource: &BTreeMap<String, String>) -> ExportMetricsServiceRequest {
    let metrics = FAMILIES.iter().filter_map(|family| metric(family, snapshot)).collect();
    let attributes = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    let scope = InstrumentationScope {
        name: "autoscalebot".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

/// A family with all its numbers; nothing when none is known.
fn metric(family: &Family, snapshot: &Snapshot) -> Option<Metric> {
    let (start, now) = (nanoseconds(snapshot.started.civil), nanoseconds(snapshot.now.civil));
    let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
    family.read(snapshot, &mut |values, number| {
        let attributes = attributes(family.labels, values);
        let plain = |value| NumberDataPoint {
            attributes: attributes.clone(),
            start_time_unix_nano: if family.kind == Kind::Counter { start } else { 0 },
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        };
        match number {
            Number::Gauge(value) => numbers.push(plain(number_data_point::Value::AsDouble(value))),
            Number::Count(count) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                numbers.push(plain(number_data_point::Value::AsInt(count)));
            }
            Number::Histogram { ends, counts, sum } => histograms.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: counts.iter().sum(),
                sum: Some(sum),
                bucket_counts: counts.to_vec(),
                explicit_bounds: ends.to_vec(),
                ..HistogramDataPoint::default()
            }),
        }
    });
    if numbers.is_empty() && histograms.is_empty() {
        return None;
    }
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let data = match family.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers }),
        Kind::Counter => Data::Sum(Sum { data_points: numbers, aggregation_temporality, is_monotonic: true }),
        Kind::Histogram => Data::Histogram(Histogram { data_points: histograms, aggregation_temporality }),
    };
    Some(Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        // Of other units than seconds collectors would make endings for names.
        unit: if family.name.ends_with("_seconds") { "s".to_owned() } else { String::new() },
        data: Some(data),
        ..Metric::default()
    })
}

/// A label without a value is the same as no label.
fn attributes(names: &[&str], values: &[&str]) -> Vec<KeyValue> {
    let known = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn nanoseconds(time: jiff::Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}
