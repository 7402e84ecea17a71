//! Metrics as a page that Prometheus reads: its text format, version 0.0.4, which every version of it understands.
//!
//! OpenMetrics, the other text format, says nothing more about our numbers, and `promtool check metrics` does not read it.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use super::{FAMILIES, Family, Kind, Number, Snapshot, Sources};

/// The media type of [`render`]'s page.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The page: everything that is known now.
#[must_use]
pub fn render(sources: &Sources) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sources.snapshot()));
    let mut page = String::new();
    prometheus_text::encode(&mut page, &registry).expect("a text in memory takes everything");
    page
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in FAMILIES {
            let kind = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
                Kind::Histogram => MetricType::Histogram,
            };
            // The encoder adds the ending of counters itself.
            let name = family.name.strip_suffix("_total").unwrap_or(family.name);
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind)?;
            let mut result = Ok(());
            family.read(self, &mut |values, number| {
                result = result.and_then(|()| write(&mut metric, family, values, number));
            });
            result?;
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, family: &Family, values: &[&str], number: Number<'_>) -> fmt::Result {
    let labels = Labels { names: family.labels, values };
    let mut metric = metric.encode_family(&labels)?;
    match number {
        Number::Gauge(value) => metric.encode_gauge(&value),
        Number::Count(count) => metric.encode_counter::<NoLabelSet, u64, f64>(&count, None),
        Number::Histogram { ends, counts, sum } => {
            let ends = ends.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = ends.zip(counts.iter().copied()).collect();
            metric.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
        }
    }
}

struct Labels<'a> {
    names: &'a [&'static str],
    values: &'a [&'a str],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        debug_assert_eq!(self.names.len(), self.values.len(), "a value for each of {:?}", self.names);
        // A label without a value is the same as no label, and is left out.
        let labels = self.names.iter().zip(self.values).filter(|(_, value)| !value.is_empty());
        for (name, value) in labels {
            use prometheus_client::encoding::EncodeLabel;
            (*name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Snapshot").field("now", &self.now).finish_non_exhaustive()
    }
}
