//! Looks all the time whether a quota is exceeded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::sleep;

use crate::clients::Customer;

const EVERY: Duration = Duration::from_millis(20);
/// All at once.
const LOOK: &str = "local quotas = {} for i, key in ipairs(KEYS) do quotas[i] = \
    (redis.call('HGET', key, 'used') or 0) + (redis.call('HGET', key, 'reserved') or 0) end \
    return quotas";

#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) taken: u64,
    pub(crate) exceeded: Vec<String>,
    /// Samples of quotas that had not a token left.
    pub(crate) full: u64,
}

/// Samples until it is told to stop.
pub(crate) async fn run(url: String, customers: Vec<Customer>, stop: Arc<AtomicBool>) -> Samples {
    let second = Some(Duration::from_secs(1));
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(second)
        .set_response_timeout(second);
    let client = redis::Client::open(url).unwrap();
    let mut redis: ConnectionManager = client.get_connection_manager_lazy(config).unwrap();
    let mut samples = Samples::default();
    while !stop.load(Ordering::Relaxed) {
        let mut look = redis::cmd("EVAL");
        look.arg(LOOK).arg(customers.len());
        for customer in &customers {
            look.arg(format!("oc:u:{}", customer.period));
        }
        if let Ok(quotas) = look.query_async::<Vec<u64>>(&mut redis).await {
            samples.taken += 1;
            for (customer, sum) in customers.iter().zip(quotas) {
                samples.full += u64::from(sum == customer.limit);
                if sum > customer.limit {
                    let Customer { name, limit, .. } = customer;
                    samples.exceeded.push(format!("{name}: {sum} of {limit}"));
                }
            }
        }
        sleep(EVERY).await;
    }
    samples
}
