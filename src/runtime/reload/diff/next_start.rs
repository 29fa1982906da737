//! What of a new configuration waits for the next start of the runtime. Pure.

use greenroom_actors::spec::{
    BundleSpec, GatewaySpec, HistorySpec, ResourcesSpec, RuntimeSpec, ServiceLogSpec, ShutdownSpec, WatchdogSpec,
};

/// Everything that the runtime was started with: other processes look for it there (the state dir), or it was handed out
/// at the start (ports, deadlines, memory, the rotation of logs) and is held by what runs.
pub(super) fn keys(old: &RuntimeSpec, new: &RuntimeSpec) -> Vec<&'static str> {
    let RuntimeSpec {
        name,
        state_dir,
        ports,
        containment,
        guardian,
        shutdown: ShutdownSpec { deadline, drain, running_jobs },
        history: HistorySpec { path, retain, max_size },
        service_logs: ServiceLogSpec { max_size: log_size, keep },
        resources: of_resources,
        gateway: of_gateway,
        watchdog: of_watchdog,
        metrics,
        remotes,
        // One by one, above.
        services: _,
        // They take no process with them: the queue is told of them whole.
        jobs: _,
    } = old;
    let all = [
        ("runtime.name", *name != new.name),
        ("runtime.state_dir", *state_dir != new.state_dir),
        ("runtime.ports", *ports != new.ports),
        ("runtime.containment", *containment != new.containment),
        ("runtime.guardian", *guardian != new.guardian),
        ("runtime.shutdown.drain", *drain != new.shutdown.drain),
        ("runtime.shutdown.running_jobs", *running_jobs != new.shutdown.running_jobs),
        ("runtime.shutdown.deadline", *deadline != new.shutdown.deadline),
        ("history.path", *path != new.history.path),
        ("history.retain", *retain != new.history.retain),
        ("history.max_size", *max_size != new.history.max_size),
        ("log.service_logs.max_size", *log_size != new.service_logs.max_size),
        ("log.service_logs.keep", *keep != new.service_logs.keep),
        ("metrics.enabled", *metrics != new.metrics),
        ("remote", *remotes != new.remotes),
    ];
    let (memory, doors) = (resources(of_resources, &new.resources), gateway(of_gateway, &new.gateway));
    let watched = watchdog(of_watchdog, &new.watchdog);
    all.into_iter()
        .chain(doors)
        .chain(memory)
        .chain(watched)
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

fn gateway(old: &GatewaySpec, new: &GatewaySpec) -> [(&'static str, bool); 11] {
    let GatewaySpec {
        listen,
        api_keys,
        default_model,
        max_body,
        max_connections,
        header_timeout,
        cors_origins,
        loading_comments,
        max_waiting,
        max_wait,
        fairness,
    } = old;
    [
        ("gateway.listen", *listen != new.listen),
        ("gateway.api_keys", *api_keys != new.api_keys),
        ("gateway.default_model", *default_model != new.default_model),
        ("gateway.max_body", *max_body != new.max_body),
        ("gateway.max_connections", *max_connections != new.max_connections),
        ("gateway.header_timeout", *header_timeout != new.header_timeout),
        ("gateway.cors_origins", *cors_origins != new.cors_origins),
        ("gateway.loading_comments", *loading_comments != new.loading_comments),
        ("gateway.queue.max_waiting", *max_waiting != new.max_waiting),
        ("gateway.queue.max_wait", *max_wait != new.max_wait),
        ("gateway.queue.fairness", *fairness != new.fairness),
    ]
}

fn watchdog(old: &WatchdogSpec, new: &WatchdogSpec) -> [(&'static str, bool); 10] {
    let WatchdogSpec {
        enabled,
        interval,
        memory_warning,
        memory_critical,
        double_within,
        actor_heartbeat,
        bundles: BundleSpec { on, min_interval, keep },
        notify,
    } = old;
    [
        ("watchdog.enabled", *enabled != new.enabled),
        ("watchdog.interval", *interval != new.interval),
        ("watchdog.memory.warning", *memory_warning != new.memory_warning),
        ("watchdog.memory.critical", *memory_critical != new.memory_critical),
        ("watchdog.runaway.double_within", *double_within != new.double_within),
        ("watchdog.actor_heartbeat", *actor_heartbeat != new.actor_heartbeat),
        ("watchdog.bundle_on", *on != new.bundles.on),
        ("watchdog.bundle_min_interval", *min_interval != new.bundles.min_interval),
        ("watchdog.bundle_keep", *keep != new.bundles.keep),
        ("watchdog.notify", *notify != new.notify),
    ]
}

fn resources(old: &ResourcesSpec, new: &ResourcesSpec) -> [(&'static str, bool); 10] {
    let ResourcesSpec {
        backend,
        nvml_library,
        vram_reserve,
        vram_limit,
        ram_reserve,
        ram_limit,
        reclaim_timeout,
        calibrate,
        custom,
        declared,
    } = old;
    [
        ("resources.gpu_backend", *backend != new.backend),
        ("resources.nvml_library", *nvml_library != new.nvml_library),
        ("resources.vram_reserve", *vram_reserve != new.vram_reserve),
        ("resources.vram_limit", *vram_limit != new.vram_limit),
        ("resources.ram_reserve", *ram_reserve != new.ram_reserve),
        ("resources.ram_limit", *ram_limit != new.ram_limit),
        ("resources.reclaim_timeout", *reclaim_timeout != new.reclaim_timeout),
        ("resources.calibrate", *calibrate != new.calibrate),
        ("resources.custom", *custom != new.custom),
        ("resources.gpu", *declared != new.declared),
    ]
}
