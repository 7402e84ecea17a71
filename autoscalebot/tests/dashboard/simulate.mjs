// Simulated processes for the mock server: a load that rises and falls, decisions like the real ones, a history.
//
// Faithful in shape, not in depth: it decides by consecutive readings only. Chance comes from a seed, so that a picture
// can be made twice.

const HOUR = 3_600_000,
  DAY = 24 * HOUR;

/** A small generator of chance (mulberry32). */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const iso = (ms) => new Date(ms).toISOString();

const RESPONSE = { backend: "ResponseTime", unit: "ms", low: 500, high: 1000, load: 950 };
const QUEUE = { backend: "CeleryQueueLength", unit: "tasks", low: 5, high: 30, load: 34 };
const MEMORY = { backend: "AppDecision", unit: null, low: 60, high: 200, load: 170 };

/** What a fleet of eight shows: each state that a person may meet. */
const EIGHT = [
  { name: "web", min: 1, max: 5, signals: [RESPONSE] },
  { name: "api", min: 2, max: 8, signals: [RESPONSE, MEMORY] },
  { name: "celery", min: 0, max: 6, signals: [QUEUE], holds: "held_busy" },
  {
    name: "mailer",
    min: 1,
    max: 3,
    signals: [QUEUE],
    command: { command: "hold", count: 2, for_seconds: null, reason: "newsletter goes out until noon" },
  },
  { name: "importer", min: 1, max: 4, signals: [RESPONSE], fails: true },
  { name: "search", min: 2, max: 4, signals: [{ ...RESPONSE, load: 3800 }] },
  { name: "thumbnails", min: 1, max: 10, signals: [QUEUE], unknown: true },
  {
    name: "night-report_with_a_rather_long_name_that_somebody_chose_once",
    min: 0,
    max: 2,
    signals: [{ ...QUEUE, load: 1 }],
    dryRun: true,
  },
];

export function specs(many) {
  if (many <= EIGHT.length) return EIGHT.slice(0, many);
  const random = chance(7);
  return Array.from(
    { length: many },
    (_, i) =>
      EIGHT[i] ?? {
        name: `worker-${String(i).padStart(4, "0")}`,
        min: 1,
        max: 2 + Math.floor(random() * 12),
        signals: [random() < 0.5 ? RESPONSE : QUEUE],
        fails: random() < 0.01,
        dryRun: random() < 0.02,
      },
  );
}

export class Fleet {
  /** @param {{many: number, interval: number, hours: number, stalled: boolean}} options */
  constructor({ many, interval, hours, stalled }) {
    this.random = chance(42);
    this.interval = interval;
    this.decisions = [];
    this.events = [];
    this.lastEvent = 0;
    this.listeners = new Set();
    this.bots = specs(many).map((spec, i) => this.bot(spec, i));
    const now = Date.now();
    if (hours > 24) this.grow(now - 90 * DAY, now - DAY, HOUR / 2);
    // The hour that the charts begin with is complete, so that nothing in it is a gap; a large fleet has no room for it.
    const whole = many > 20 ? 0 : Math.min(hours, 1.1) * HOUR;
    this.grow(now - Math.min(hours, 24) * HOUR, now - whole, many > 20 ? 60_000 : 20_000);
    this.grow(now - whole, now, interval * 1000);
    for (const bot of this.bots) if (bot.spec.command) this.command(bot, bot.spec.command);
    if (stalled) {
      this.bots[0].stalled = true;
      this.bots[0].lastTick = now - 15 * 60_000;
      this.bots[0].nextTick = now - 14 * 60_000;
    }
  }

  bot(spec, i) {
    return {
      spec,
      running: Math.max(1, spec.min),
      wanted: Math.max(1, spec.min),
      highs: [],
      lows: [],
      waitUntil: 0,
      mode: automatic(),
      dryRun: spec.dryRun ?? false,
      points: [],
      reason: null,
      status: "starting",
      readings: spec.signals.map(() => null),
      failures: spec.signals.map(() => null),
      lastScale: null,
      lastTick: null,
      nextTick: null,
      failing: 0,
      phase: i * 0.7,
      stalled: false,
    };
  }

  grow(from, to, step) {
    for (const bot of this.bots) for (let at = from; at < to; at += step) this.tick(bot, at, step);
    const byTime = (a, b) => a.at - b.at;
    this.decisions.sort(byTime);
    this.events.sort(byTime);
  }

  measure(bot, signal, at) {
    const { random } = this;
    const day = 0.62 + 0.38 * Math.sin(((at % DAY) / DAY) * 2 * Math.PI - 1.9 + bot.phase / 5);
    const wave = 1 + 0.55 * Math.sin(at / (9 * 60_000) + bot.phase) * Math.sin(at / (37 * 60_000));
    const value = (signal.load * 2.1 * day * wave * (0.85 + 0.3 * random())) / Math.max(bot.running, 1);
    return signal.unit === "tasks" ? Math.round(value) : Math.round(value * 10) / 10;
  }

  event(bot, at, kind, severity, subject, facts) {
    this.lastEvent += 1;
    const event = {
      id: String(this.lastEvent),
      process: bot.spec.name,
      at,
      kind,
      severity,
      subject: `${bot.spec.name}: ${subject}`,
      facts,
    };
    this.events.push(event);
    this.tell("event", this.showEvent(event));
  }

  tell(event, data) {
    for (const listener of this.listeners) listener(event, data);
  }

  /** One look: measure, decide, scale, tell. */
  tick(bot, at, step = this.interval * 1000) {
    const { spec } = bot;
    if (bot.mode.until && at >= bot.mode.until) {
      bot.mode = automatic();
      this.event(bot, at, "control_expired", "info", "the pause is over", []);
    }
    const fails = spec.fails || this.random() < 0.004;
    bot.readings = spec.signals.map((signal) => (fails ? null : this.measure(bot, signal, at)));
    bot.failures = spec.signals.map(() =>
      fails ? { key: "timeout", message: "http://localhost:8000/ did not answer within 30 s" } : null,
    );
    if (fails && bot.failing === 0)
      this.event(bot, at, "measurement_failed", "warning", `${spec.signals[0].backend} cannot be measured`, [
        { label: "Error", text: bot.failures[0].message },
      ]);
    if (!fails && bot.failing > 0)
      this.event(bot, at, "measurement_recovered", "info", `${spec.signals[0].backend} can be measured again`, [
        { label: "Failures", text: String(bot.failing) },
      ]);
    bot.failing = fails ? bot.failing + 1 : 0;
    const decision = this.decide(bot, at);
    bot.lastTick = at;
    bot.nextTick = at + this.interval * 1000;
    bot.points.push({
      at,
      running: spec.unknown && at > Date.now() - HOUR ? null : bot.running,
      wanted: bot.wanted,
      readings: bot.readings,
      failed: fails ? 1 : 0,
    });
    this.decisions.push(decision);
    if (step <= 5000) {
      if (bot.points.length > 20_000) bot.points.shift();
      if (this.decisions.length > 400_000) this.decisions.splice(0, 100_000);
    }
    return decision;
  }

  decide(bot, at) {
    const { spec } = bot,
      signal = spec.signals[0],
      reading = bot.readings[0],
      unit = signal.unit ? ` ${signal.unit}` : "";
    let wanted = bot.running,
      reason,
      held = null,
      limit = null,
      order = null,
      settled = null;
    if (reading === null) {
      bot.highs = bot.lows = [];
      reason = { key: "unknown", sentence: `the newest measurement failed: ${bot.failures[0].message}` };
    } else {
      bot.highs = reading > signal.high ? [...bot.highs, reading] : [];
      bot.lows = reading <= signal.low ? [...bot.lows, reading] : [];
      if (bot.highs.length >= 3) {
        wanted += 1;
        reason = {
          key: "consecutive_high",
          sentence: `${bot.highs.length} readings in a row above ${signal.high}${unit} (${bot.highs.slice(-3).join(", ")})`,
        };
      } else if (bot.lows.length >= 5) {
        wanted -= 1;
        reason = {
          key: "consecutive_low",
          sentence: `${bot.lows.length} readings in a row at or below ${signal.low}${unit} (${bot.lows.slice(-3).join(", ")})`,
        };
      } else if (bot.highs.length)
        reason = {
          key: "run_too_short",
          sentence: `${bot.highs.length} reading${bot.highs.length > 1 ? "s in a row are" : " in a row is"} above ${signal.high}${unit}, 3 needed`,
        };
      else if (bot.lows.length)
        reason = {
          key: "run_too_short",
          sentence: `${bot.lows.length} reading${bot.lows.length > 1 ? "s in a row are" : " in a row is"} at or below ${signal.low}${unit}, 5 needed`,
        };
      else
        reason = {
          key: "between",
          sentence: `the newest reading, ${reading}${unit}, is between ${signal.low} and ${signal.high}${unit}`,
        };
    }
    const direction = wanted > bot.running ? "up" : wanted < bot.running ? "down" : "stay";
    const cut = Math.min(Math.max(wanted, spec.min), spec.max);
    if (cut !== wanted) {
      limit = wanted > cut ? "max" : "min";
      wanted = cut;
    }
    bot.wanted = wanted;
    const before = bot.running;
    const paused = bot.mode.kind === "paused" && (bot.mode.scope === "all" || bot.mode.scope === direction);
    if (bot.mode.kind === "held") {
      bot.wanted = wanted = bot.mode.count;
      reason = { key: "held", sentence: `held at ${bot.mode.count} by a person: ${bot.mode.reason}` };
    }
    if (wanted !== bot.running) {
      if (paused) {
        held = "paused";
        reason = { ...reason, sentence: `${reason.sentence}; held, paused by a person` };
      } else if (at < bot.waitUntil) {
        held = "waiting";
        reason = {
          ...reason,
          sentence: `${reason.sentence}; held, the wait after the last scale takes ${Math.ceil((bot.waitUntil - at) / 1000)} s more`,
        };
      } else if (spec.holds && direction === "down" && this.random() < 0.7) {
        held = "busy";
        reason = { key: "busy", sentence: `${reason.sentence}; held for 40 s so far, nobody is stopped who may work` };
      } else ({ order, settled } = this.scale(bot, wanted, reason, at));
    }
    bot.reason = reason;
    bot.status = this.status(bot, { order, settled, held, limit, reading });
    return {
      process: spec.name,
      at,
      running: before,
      wanted,
      min: spec.min,
      max: spec.max,
      direction,
      order,
      settled,
      limit,
      held,
      reason,
      readings: bot.readings,
      settings_version: 1,
    };
  }

  scale(bot, to, reason, at) {
    const order = { from: bot.running, to },
      way = to > bot.running ? "up" : "down";
    const why = { label: "Why", text: reason.sentence };
    if (bot.dryRun) {
      this.event(bot, at, "would_scale", "info", `would scale ${way} from ${order.from} to ${to}`, [why]);
      return { order, settled: "dry_run" };
    }
    if (this.random() < 0.01) {
      this.event(bot, at, "scale_failed", "error", `could not be scaled from ${order.from} to ${to}`, [
        why,
        { label: "Error", text: "the platform answered 503 <b>Service Unavailable</b>" },
      ]);
      bot.waitUntil = at + 5000;
      return { order, settled: "failed" };
    }
    bot.running = to;
    bot.highs = bot.lows = [];
    bot.waitUntil = at + 15_000;
    bot.lastScale = { at, ...order, sentence: reason.sentence };
    this.event(bot, at, `scaled_${way}`, "info", `scaled ${way} from ${order.from} to ${to}`, [why]);
    return { order, settled: "scaled" };
  }

  status(bot, { order, settled, held, limit, reading }) {
    if (bot.spec.unknown) return "count_unknown";
    if (bot.mode.kind !== "automatic") return bot.mode.kind;
    if (reading === null) return "measurement_failing";
    if (settled === "failed") return "backing_off";
    if (order && settled === "scaled") return order.to > order.from ? "scaling_up" : "scaling_down";
    if (held === "busy") return "held_busy";
    if (held) return "waiting";
    return limit === "max" ? "at_max" : limit === "min" ? "at_min" : "steady";
  }

  /** @returns the decision that came of it, or null */
  command(bot, { command, scope, count, for_seconds: seconds, on, reason }) {
    const at = Date.now(),
      until = seconds ? at + seconds * 1000 : null;
    const said = {
      pause: `paused (${scope})`,
      resume: "resumed",
      hold: `held at ${count}`,
      scale: `told to scale to ${count}`,
      dry_run: `dry run turned ${on ? "on" : "off"}`,
      evaluate: "told to look now",
    }[command];
    this.event(bot, at, "commanded", "info", said, [
      { label: "Why", text: reason },
      { label: "Who", text: "a person with the role operate" },
    ]);
    if (command === "pause") bot.mode = { kind: "paused", scope, count: null, until, reason };
    if (command === "resume") bot.mode = automatic();
    if (command === "hold") bot.mode = { kind: "held", scope: null, count, until, reason };
    if (command === "dry_run") bot.dryRun = on;
    let decision = null;
    if (command === "scale" && count !== bot.running) {
      const why = { key: "commanded", sentence: `a person said: ${reason}` },
        running = bot.running;
      const done = this.scale(bot, count, why, at);
      bot.reason = why;
      decision = {
        process: bot.spec.name,
        at,
        running,
        wanted: count,
        min: bot.spec.min,
        max: bot.spec.max,
        direction: count > running ? "up" : "down",
        ...done,
        limit: null,
        held: null,
        reason: why,
        readings: bot.readings,
        settings_version: 1,
      };
      this.decisions.push(decision);
    } else {
      decision = this.tick(bot, at);
    }
    this.tell("process", this.show(bot));
    return ["scale", "evaluate"].includes(command)
      ? { wanted: decision.wanted, reason: decision.reason, order: decision.order }
      : null;
  }

  show(bot) {
    const { spec } = bot,
      when = (ms) => (ms ? iso(ms) : null);
    return {
      name: spec.name,
      running: spec.unknown ? null : bot.running,
      wanted: bot.wanted,
      min: spec.min,
      max: spec.max,
      status: bot.stalled ? "stalled" : bot.status,
      mode: { ...bot.mode, until: when(bot.mode.until) },
      dry_run: bot.dryRun,
      reason: spec.unknown
        ? {
            key: "count_unknown",
            sentence: "nobody knows how many processes run: the platform answered 401 Unauthorized",
          }
        : bot.reason,
      signals: spec.signals.map(({ backend, unit, low, high }, index) => ({
        index,
        backend,
        unit,
        reading: bot.readings[index],
        failure: bot.failures[index],
        at: when(bot.lastTick),
        low,
        high,
        interval_seconds: this.interval,
      })),
      last_tick_at: when(bot.lastTick),
      next_tick_at: when(bot.nextTick),
      last_scale: bot.lastScale && { ...bot.lastScale, at: iso(bot.lastScale.at) },
      settings_version: 1,
    };
  }

  showDecision(decision) {
    return { ...decision, at: iso(decision.at) };
  }

  showEvent(event) {
    return { ...event, at: iso(event.at) };
  }

  series(bot, from, to, points) {
    const step = Math.max(this.interval, Math.ceil((to - from) / 1000 / points)),
      ms = step * 1000;
    const inside = bot.points.filter((point) => point.at >= from && point.at <= to);
    const buckets = new Map();
    for (const point of inside) {
      const at = Math.floor(point.at / ms) * ms;
      if (!buckets.has(at)) buckets.set(at, []);
      buckets.get(at).push(point);
    }
    const all = [...buckets.entries()].sort(([a], [b]) => a - b),
      last = ([, list]) => list.at(-1);
    const stat = (index, work) =>
      all.map(([, list]) => {
        const numbers = list.map((point) => point.readings[index]).filter((value) => value !== null);
        return numbers.length ? work(numbers) : null;
      });
    return {
      process: bot.spec.name,
      from: iso(from),
      to: iso(to),
      step_seconds: step,
      source: to - from > 2 * DAY ? "rollup" : "raw",
      signals: bot.spec.signals.map(({ backend, unit, low, high }, index) => ({ index, backend, unit, low, high })),
      at_ms: all.map(([at]) => at),
      running: all.map((one) => last(one).running),
      wanted: all.map((one) => last(one).wanted),
      min: all.map(() => bot.spec.min),
      max: all.map(() => bot.spec.max),
      readings: bot.spec.signals.map((_, index) => ({
        mean: stat(index, (list) => list.reduce((sum, value) => sum + value, 0) / list.length),
        lowest: stat(index, (list) => Math.min(...list)),
        highest: stat(index, (list) => Math.max(...list)),
        failures: all.map(([, list]) => list.reduce((sum, point) => sum + point.failed, 0)),
      })),
    };
  }
}

function automatic() {
  return { kind: "automatic", scope: null, count: null, until: null, reason: null };
}
