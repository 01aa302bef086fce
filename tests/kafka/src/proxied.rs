//! A cluster of our own whose broker and registry can also be reached through proxies: for tests that break something.

use std::sync::OnceLock;

use crate::cluster::{Cluster, Settings, free_port, registry_at};
use crate::proxy::{Protocol, Proxy};
use crate::world::log_flags;

static BROKER: OnceLock<Proxy> = OnceLock::new();
static REGISTRY: OnceLock<Proxy> = OnceLock::new();

/// Brings it up, once per process.
pub fn cluster() -> Cluster {
    let listener = free_port();
    let proxy = BROKER.get_or_init(|| Proxy::before(listener, Protocol::Kafka));
    let cluster =
        Cluster::own(Settings { second_listener: Some((listener, proxy.port)), ..Settings::default() });
    REGISTRY.get_or_init(|| Proxy::before(cluster.registry_port, Protocol::Any));
    cluster
}

/// The proxy before the broker.
pub fn broker() -> &'static Proxy {
    BROKER.get().expect("the cluster is up")
}

/// The proxy before the registry.
pub fn registry() -> &'static Proxy {
    REGISTRY.get().expect("the cluster is up")
}

/// How the program is told of the broker's proxy, and of the registry itself.
pub fn broker_flags(cluster: &Cluster) -> Vec<String> {
    log_flags(&format!("127.0.0.1:{}", broker().port), &cluster.registry)
}

/// How the program is told of the registry's proxy, and of the broker itself.
pub fn registry_flags(cluster: &Cluster) -> Vec<String> {
    log_flags(&cluster.brokers, &registry_at(registry().port))
}
