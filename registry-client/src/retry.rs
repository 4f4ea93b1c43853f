//! When to try again, and when to stop.
//!
//! Owns the classes of failures and the pauses between tries: full-jitter exponential, a registry's
//! `Retry-After` instead where it gives one, and one pace for a whole registry that asks for it. No
//! clock of another machine is compared with ours, but for the date form of `Retry-After`, which is
//! compared with the `Date` of the same answer.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::circuit::Circuits;
use crate::endpoint::Endpoint;
use crate::notice::{Notice, Notices};

/// How often and how long to try.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Tries of one request without progress, the first included.
    pub max_tries: u32,
    /// Tries to reach a host that cannot be connected to, the first included.
    pub max_connect_tries: u32,
    /// Upper bound of the first pause; each further one doubles.
    pub first_pause: Duration,
    /// Upper bound of any pause of our own.
    pub longest_pause: Duration,
    /// The longest `Retry-After` that is waited for; a longer one is an error that tells it.
    pub longest_retry_after: Duration,
    /// How long one request waits in all because of `Retry-After`.
    pub retry_after_budget: Duration,
    /// The longest time without progress.
    pub no_progress: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_tries: 6,
            max_connect_tries: 3,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_retry_after: Duration::from_mins(2),
            retry_after_budget: Duration::from_mins(5),
            no_progress: Duration::from_mins(10),
        }
    }
}

/// Waits between tries; tests put in one that only takes notes.
pub trait Sleeper: Send + Sync {
    /// Completes after `pause`.
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Waits by tokio's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSleeper;

impl Sleeper for TokioSleeper {
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(pause))
    }
}

/// The tries of one request.
pub(crate) struct Attempts<'a> {
    policy: &'a RetryPolicy,
    sleeper: &'a dyn Sleeper,
    failures: u32,
    since: Instant,
    /// How long it has waited because of `Retry-After`.
    waited: Duration,
    place: Option<At<'a>>,
}

/// Where the tries go.
struct At<'a> {
    origin: String,
    host: String,
    /// There are other places to ask: one more try has to do.
    mirror: bool,
    circuits: &'a Circuits,
    notices: &'a Notices,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(policy: &'a RetryPolicy, sleeper: &'a dyn Sleeper) -> Self {
        Self { policy, sleeper, failures: 0, since: Instant::now(), waited: Duration::ZERO, place: None }
    }

    /// Says where the tries go, so that one host's failures are not waited for again and again.
    pub(crate) fn at(mut self, endpoint: &Endpoint, circuits: &'a Circuits, notices: &'a Notices) -> Self {
        let (origin, host, mirror) = (endpoint.origin(), endpoint.registry.clone(), endpoint.mirror);
        self.place = Some(At { origin, host, mirror, circuits, notices });
        self
    }

    /// Something was achieved: count from the start again.
    pub(crate) fn progress(&mut self) {
        self.failures = 0;
        self.since = Instant::now();
    }

    /// Pauses before the next try; `false` means to give up.
    pub(crate) async fn again(&mut self, failure: &Failure) -> bool {
        self.failures += 1;
        let mut most = if failure.connecting { self.policy.max_connect_tries } else { self.policy.max_tries };
        if let Some(place) = &self.place {
            if place.circuits.is_open(&place.origin) {
                return false;
            }
            if place.mirror {
                most = most.min(if failure.connecting { 1 } else { 2 });
            }
        }
        if self.failures >= most || self.since.elapsed() >= self.policy.no_progress {
            if let Some(place) = &self.place
                && self.failures > 1
            {
                place.circuits.open(&place.origin);
            }
            return false;
        }
        let pause = match failure.retry_after {
            Some(wanted)
                if wanted > self.policy.longest_retry_after
                    || self.waited + wanted > self.policy.retry_after_budget =>
            {
                return false;
            }
            Some(wanted) => {
                self.waited += wanted;
                if let Some(place) = &self.place {
                    let left = self.policy.retry_after_budget.saturating_sub(self.waited);
                    place.notices.tell(&Notice::Waiting { host: place.host.clone(), pause: wanted, left });
                }
                wanted
            }
            None => self.jittered(),
        };
        self.sleeper.sleep(pause).await;
        true
    }

    fn jittered(&self) -> Duration {
        let doubled = self.policy.first_pause.saturating_mul(1 << (self.failures - 1).min(16));
        let bound = doubled.min(self.policy.longest_pause);
        // Each RandomState has new keys: enough randomness to keep clients apart.
        let random = RandomState::new().hash_one(self.failures) >> 32;
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let scaled = (u128::from(nanos) * u128::from(random)) >> 32;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(nanos))
    }
}

/// A failure that may pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Failure {
    pub(crate) connecting: bool,
    pub(crate) retry_after: Option<Duration>,
    /// The registry refused without a look at the body: that says nothing about bodies.
    pub(crate) unread: bool,
}

impl Failure {
    /// Whether a transport error may pass; bad requests do not get better.
    pub(crate) fn of_error(error: &reqwest::Error) -> Option<Self> {
        if error.is_builder() || error.is_redirect() {
            return None;
        }
        Some(Self { connecting: error.is_connect(), ..Self::default() })
    }

    /// Whether an answer is a failure that may pass.
    pub(crate) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let passing = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
        passing.then(|| Self { retry_after: retry_after(headers), ..Self::default() })
    }
}

/// `Retry-After` in either of its forms.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let when = http_date(text)?;
    let now = http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(when.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`; the two obsolete forms are not read.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let rest = text.split_once(", ")?.1;
    let mut words = rest.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = MONTHS.find(words.next()?).filter(|at| at % 3 == 0)? as u64 / 3 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|y| (1970..10_000).contains(y))?;
    let clock: Vec<u64> = words.next()?.split(':').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    if words.next()? != "GMT" || day > 31 || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // Days from civil, with the year beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day;
    days.checked_sub(719_469).map(|d| d * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// Holds back all requests to an origin that asked for it.
#[derive(Default)]
pub(crate) struct Pacer(Mutex<HashMap<String, Instant>>);

impl Pacer {
    pub(crate) fn slow_down(&self, origin: &str, pause: Duration) {
        let until = Instant::now() + pause.min(Duration::from_hours(1));
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = map.entry(origin.to_owned()).or_insert(until);
        *entry = until.max(*entry);
    }

    pub(crate) async fn wait(&self, origin: &str, sleeper: &Arc<dyn Sleeper>) {
        let until = || self.0.lock().unwrap_or_else(PoisonError::into_inner).get(origin).copied();
        while let Some(end) = until() {
            if let Some(pause) = end.checked_duration_since(Instant::now()).filter(|pause| !pause.is_zero()) {
                sleeper.sleep(pause).await;
            }
            let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody may have been asked to wait longer meanwhile.
            if map.get(origin) == Some(&end) {
                map.remove(origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Notes(Mutex<Vec<Duration>>);

    impl Sleeper for Notes {
        fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.0.lock().unwrap().push(pause);
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn pauses_are_bounded_and_end() {
        let (policy, notes) = (RetryPolicy::default(), Notes(Mutex::default()));
        let mut attempts = Attempts::new(&policy, &notes);
        while attempts.again(&Failure::default()).await {}
        let pauses = notes.0.lock().unwrap();
        assert_eq!(pauses.len(), 5);
        for (n, pause) in pauses.iter().enumerate() {
            assert!(*pause <= Duration::from_millis(500 << n), "{pause:?}");
        }
    }

    #[tokio::test]
    async fn retry_after_is_kept_up_to_its_limit() {
        let (policy, notes) = (RetryPolicy::default(), Notes(Mutex::default()));
        let mut attempts = Attempts::new(&policy, &notes);
        let wait = |s| Failure { retry_after: Some(Duration::from_secs(s)), ..Failure::default() };
        assert!(attempts.again(&wait(2)).await);
        assert!(!attempts.again(&wait(100_000)).await);
        assert_eq!(*notes.0.lock().unwrap(), [Duration::from_secs(2)]);
    }

    /// Asked for a longer pause while it makes one.
    struct Again(Notes, Arc<Pacer>);

    impl Sleeper for Again {
        fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            if self.0.0.lock().unwrap().is_empty() {
                self.1.slow_down("reg.test", Duration::from_secs(1000));
                // A shorter one changes nothing.
                self.1.slow_down("reg.test", Duration::from_secs(5));
            }
            self.0.sleep(pause)
        }
    }

    #[tokio::test]
    async fn r042_a_longer_pause_of_another_request_counts_for_all() {
        let pacer = Arc::new(Pacer::default());
        let again = Arc::new(Again(Notes(Mutex::default()), pacer.clone()));
        let sleeper: Arc<dyn Sleeper> = again.clone();
        pacer.slow_down("reg.test", Duration::from_secs(100));
        pacer.wait("other.test", &sleeper).await;
        assert!(again.0.0.lock().unwrap().is_empty());
        pacer.wait("reg.test", &sleeper).await;
        let pauses: Vec<u64> = again.0.0.lock().unwrap().iter().map(|p| p.as_secs() / 100).collect();
        assert_eq!(pauses, [0, 9], "99 s and some, then 999 s and some");
        // It was waited for, and is over.
        pacer.wait("reg.test", &sleeper).await;
        assert_eq!(again.0.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn dates() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:01 GMT"), Some(1_709_164_801));
        for bad in [
            "",
            "tomorrow",
            "Sun, 06 Xyz 1994 08:49:37 GMT",
            "Sun, 99999999999999999999 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date(bad), None);
        }
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:30 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
    }
}
