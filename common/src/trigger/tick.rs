//! Time as a source of events: `every:1s`, `cron:EXPRESSION`.

use crate::clock;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::poll::{Interest, Poller};
use crate::queue::{
    Capabilities, Connection, Flaws, Granted, QueueError, QueueId, QueueSpec, QueueStat, Receipt,
    Settled, Settlement, Taken, Waiting,
};
use crate::units;
use jiff::Timestamp;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::rc::Rc;
use std::time::Duration;

/// The longest sleep before the clock is looked at again: somebody may set it.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);

static CAPABILITIES: Capabilities = Capabilities {
    scheme: "time",
    title: "a clock",
    between_processes: false,
    orders: &[],
    when_full: &[],
    capacity_default: 0,
    waiting: Waiting::Any,
    acknowledge: false,
    delayed: false,
    peek: false,
    replay: false,
    atomic_settle: false,
    exactly_once: false,
    drops_known_ids: false,
    gather: false,
    on_one_host: true,
    bounded: true,
    counts_held: false,
    queues_tested: None,
    under_way_max: crate::limits::UNDER_WAY_SHORT,
    process_killed: Flaws { may_lose: true, may_duplicate: false },
    host_lost: Flaws { may_lose: true, may_duplicate: false },
};

/// When it ticks.
#[derive(Debug)]
enum Rhythm {
    Every(Duration),
    Cron(Box<cronexpr::Crontab>),
}

/// A clock as a connection with one queue, whose messages are ticks.
pub struct Ticks {
    rhythm: Rhythm,
    source: &'static str,
    prefix: String,
    timer: TimerFd,
    /// When the next tick is due.
    due: Timestamp,
    count: u64,
    poller: Option<(Rc<Poller>, u64)>,
}

impl Ticks {
    /// A clock by its URL; none if it is something else's.
    ///
    /// # Errors
    /// The time or the expression is not understood.
    pub fn parse(url: &str) -> Result<Option<Self>> {
        let (rhythm, source) = if let Some(text) = url.strip_prefix("every:") {
            (every(url, text)?, "/faas-trigger/every")
        } else if let Some(text) = url.strip_prefix("cron:") {
            (cron(url, text)?, "/faas-trigger/cron")
        } else {
            return Ok(None);
        };
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)
            .map_err(|errno| Failure::io("open", "a timer", &errno.into()))?;
        let prefix = format!("{:012x}", clock::random_u64() & 0xFFFF_FFFF_FFFF);
        let now = Timestamp::now();
        let mut ticks = Self { rhythm, source, prefix, timer, due: now, count: 0, poller: None };
        ticks.due = ticks.after(now).map_err(|_| {
            flaw(url, "it never comes".to_owned()).cure("every:1h, or cron:0 4 * * *")
        })?;
        ticks.set().map_err(|error| Failure::io("set", "a timer", &error))?;
        Ok(Some(ticks))
    }

    /// The tick after a time.
    fn after(&self, time: Timestamp) -> std::result::Result<Timestamp, String> {
        match &self.rhythm {
            Rhythm::Every(period) => time.checked_add(*period).map_err(|error| error.to_string()),
            Rhythm::Cron(cron) => {
                cron.find_next(time).map(|at| at.timestamp()).map_err(|error| error.to_string())
            }
        }
    }

    /// How long until the next tick.
    fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.due.duration_since(now)).unwrap_or(Duration::ZERO)
    }

    fn set(&mut self) -> std::io::Result<()> {
        let left = self.left(Timestamp::now()).clamp(Duration::from_nanos(1), LOOK_AT_CLOCK);
        let flags = TimerSetTimeFlags::empty();
        Ok(self.timer.set(Expiration::OneShot(left.into()), flags)?)
    }

    /// The tick that is due, if one is. Ticks that were missed are not made
    /// up for: one event says how many there were.
    fn tick(&mut self, now: Timestamp) -> Option<Event> {
        if self.due > now {
            return None;
        }
        let planned = self.due;
        let mut missed = 0_u64;
        let mut next = self.after(planned).ok()?;
        if next <= now {
            // Not one by one: the host may have slept for a month.
            missed = match &self.rhythm {
                Rhythm::Every(period) => {
                    (now.duration_since(planned).as_secs_f64() / period.as_secs_f64()) as u64
                }
                Rhythm::Cron(_) => 1,
            };
            next = match &self.rhythm {
                Rhythm::Every(period) => {
                    let over = period.saturating_mul(u32::try_from(missed + 1).unwrap_or(u32::MAX));
                    planned.checked_add(over).unwrap_or(now)
                }
                Rhythm::Cron(_) => self.after(now).ok()?,
            };
        }
        self.due = next;
        self.count += 1;
        let body = format!("{{\"tick\":{},\"missed\":{missed}}}", self.count);
        let id = format!("{}-{}", self.prefix, self.count);
        let json = "application/json";
        let mut event = Event::bare(id, self.source.to_owned(), json, body.into_bytes());
        event.kind = "faas.tick".to_owned();
        event.time = Some(planned.to_string());
        Some(event)
    }
}

fn every(url: &str, text: &str) -> Result<Rhythm> {
    match units::duration(text) {
        Ok(period) if period >= Duration::from_millis(1) => Ok(Rhythm::Every(period)),
        Ok(_) => Err(flaw(url, "a clock cannot tick so fast".to_owned()).cure("every:1ms")),
        Err(error) => Err(flaw(url, error.to_string()).cure("every:1s")),
    }
}

fn cron(url: &str, text: &str) -> Result<Rhythm> {
    let mut options = cronexpr::ParseOptions::default();
    options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::System;
    match cronexpr::parse_crontab_with(text, options) {
        Ok(cron) => Ok(Rhythm::Cron(Box::new(cron))),
        Err(_) if text.split_whitespace().count() > 5 => {
            Err(flaw(url, "what follows the five fields is no time zone".to_owned())
                .cure("\"cron:0 4 * * * Europe/Berlin\", minute hour day month weekday zone"))
        }
        Err(error) => Err(flaw(url, last_line(&error.to_string()))
            .cure("\"cron:*/5 * * * *\", minute hour day month weekday")),
    }
}

/// What is wrong, without the picture of where.
fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text);
    last.trim_start_matches([' ', '^']).to_owned()
}

fn flaw(url: &str, reason: String) -> Failure {
    Failure::new(Exit::Usage, "open", url, reason)
}

fn no_queues<T>() -> std::result::Result<T, QueueError> {
    Err(QueueError::Refused {
        what: "a clock is no queue".to_owned(),
        alternative: "mq:/NAME".to_owned(),
    })
}

impl Connection for Ticks {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn create(&mut self, _: &str, _: &QueueSpec) -> std::result::Result<Granted, QueueError> {
        no_queues()
    }

    fn remove(&mut self, _: &str) -> std::result::Result<(), QueueError> {
        no_queues()
    }

    fn list(&mut self) -> std::result::Result<Vec<QueueStat>, QueueError> {
        no_queues()
    }

    fn stat(&mut self, _: &str) -> std::result::Result<QueueStat, QueueError> {
        no_queues()
    }

    fn open_send(&mut self, _: &str) -> std::result::Result<QueueId, QueueError> {
        no_queues()
    }

    fn open_receive(&mut self, _: &str) -> std::result::Result<QueueId, QueueError> {
        Ok(QueueId(0))
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        self.poller = Some((poller, base));
    }

    fn listen(&mut self, _: QueueId, on: bool) -> std::result::Result<(), QueueError> {
        let Some((poller, base)) = &self.poller else { return Ok(()) };
        poller.remove(&self.timer);
        if on {
            poller
                .add(&self.timer, *base, Interest::Read)
                .map_err(QueueError::io("waiting for the clock"))?;
        }
        Ok(())
    }

    fn try_receive(
        &mut self,
        queue: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> std::result::Result<(), QueueError> {
        let now = Timestamp::now();
        if let Some(event) = (max > 0).then(|| self.tick(now)).flatten() {
            let receipt = Receipt(self.count);
            into.push(Taken { receipt, queue, event, attempts: 0, fault: None });
        }
        // Setting it also takes back what it told.
        self.set().map_err(QueueError::io("setting a timer"))
    }

    fn count_attempt(&mut self, _: Receipt) {}

    fn settle(&mut self, settlement: &mut Settlement) -> std::result::Result<Settled, QueueError> {
        settlement.taken.clear();
        Ok(Settled::Done)
    }

    fn resume(&mut self, _: &mut Vec<u64>) -> std::result::Result<(), QueueError> {
        Ok(())
    }

    fn blocked(&self) -> Vec<QueueId> {
        Vec::new()
    }

    fn stuck(&self) -> Vec<u64> {
        Vec::new()
    }

    fn name_of(&self, _: QueueId) -> String {
        "time".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(url: &str) -> Ticks {
        Ticks::parse(url).ok().flatten().expect("a clock")
    }

    #[test]
    fn ticks_come_at_their_times() {
        let mut clock = ticks("every:10s");
        let start = clock.due;
        assert!(clock.tick(start - Duration::from_millis(1)).is_none());
        let event = clock.tick(start).expect("a tick");
        assert_eq!(event.time, Some(start.to_string()));
        assert_eq!(clock.due, start + Duration::from_secs(10));
    }

    #[test]
    fn missed_ticks_are_counted_and_not_made_up_for() {
        let mut clock = ticks("every:10s");
        let start = clock.due;
        let late = start + Duration::from_secs(35);
        let event = clock.tick(late).expect("a tick");
        let body = event.body.expect("a body");
        assert_eq!(body.load().expect("in memory").as_ref(), b"{\"tick\":1,\"missed\":3}");
        assert_eq!(clock.due, start + Duration::from_secs(40));
        assert!(clock.tick(late).is_none());
    }

    #[test]
    fn cron_finds_the_next_time() {
        let clock = ticks("cron:*/5 * * * * UTC");
        assert_eq!(clock.due.as_second() % 300, 0);
        assert!(Ticks::parse("cron:61 * * * *").is_err());
        assert!(Ticks::parse("every:0s").is_err());
        assert!(Ticks::parse("mq:/jobs").is_ok_and(|clock| clock.is_none()));
    }
}
