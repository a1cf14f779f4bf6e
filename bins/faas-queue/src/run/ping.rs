//! Round trips.

use super::Outcome;
use crate::cli::look::Ping as Flags;
use faas_common::cli::meter::Meter;
use faas_common::cli::shared::queue_url;
use faas_common::cli::table::{Listing, print};
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::limits::BODY_MAX;
use faas_common::ping::{Ping, Pong, ping as measure};
use faas_common::queue::QueueUrl;
use faas_common::units::{show_duration, show_size};
use serde_json::json;

pub fn ping(flags: &Flags) -> Outcome {
    let url = queue_url(&flags.url)?;
    if url == QueueUrl::Pipe || !url.name().is_empty() {
        let reason = "it has a queue of its own on a middleware";
        let cure = format!("faas-queue ping {}", url.with_name(""));
        return Err(Failure::new(Exit::Usage, "ping", &flags.url, reason).cure(cure));
    }
    if flags.size > BODY_MAX {
        let reason = format!("a body has at most {}", show_size(BODY_MAX));
        return Err(Failure::new(Exit::Usage, "ping", &flags.url, reason).cure("--size 64KiB"));
    }
    let ask =
        Ping { count: flags.count, size: flags.size, rate: flags.rate, timeout: flags.timeout };
    let meter = Meter::new("round trips", Some(flags.count), false);
    let pong = measure(&url, &ask, |latencies| meter.set(latencies.count()));
    meter.end();
    let pong = pong?;
    if !pong.latencies.is_empty() {
        show(&pong, flags)?;
    }
    Ok(pong.signal.map_or(Exit::Done, Exit::by_signal))
}

fn show(pong: &Pong, flags: &Flags) -> Result<(), Failure> {
    let all = &pong.latencies;
    let us = |duration: std::time::Duration| (duration.as_secs_f64() * 1e7).round() / 10.0;
    let points = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    if flags.output == Listing::Json {
        let quantiles =
            points.iter().map(|(name, q)| ((*name).to_owned(), json!(us(all.quantile(*q)))));
        let quantiles: serde_json::Map<String, serde_json::Value> = quantiles.collect();
        let line = json!({
            "url": flags.url, "count": all.count(), "size": flags.size, "rate": flags.rate,
            "first_us": us(pong.first), "min_us": us(all.min()), "mean_us": us(all.mean()),
            "max_us": us(all.max()), "quantiles_us": quantiles, "took_s": pong.took.as_secs_f64(),
        });
        return print(&format!("{line}\n"));
    }
    let mut text = format!(
        "{} round trips of {} bytes on {} in {}\n",
        all.count(),
        flags.size,
        flags.url,
        show_duration(pong.took)
    );
    let rows = [("first", pong.first), ("min", all.min()), ("mean", all.mean())].into_iter();
    let quantiles = points.iter().map(|(name, q)| (*name, all.quantile(*q)));
    for (name, value) in rows.chain(quantiles).chain([("max", all.max())]) {
        text.push_str(&format!("{name:<7}{:>10.1} us\n", us(value)));
    }
    print(&text)
}
