/** A setting as an operator sees it: its variable, its default, and what it means with its unit. */
export interface SettingSpec<T> {
  env: string;
  /** Absent: the variable must be set. */
  default?: T;
  doc: string;
  /** Never printed. */
  secret?: boolean;
}

export interface Setting<T> extends SettingSpec<T> {
  /** What the value looks like, for documentation and errors. */
  form: string;
  parse(text: string): T;
}

export type Settings = Record<string, Setting<unknown>>;
export type Values<S extends Settings> = { [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

export interface ListenAddress {
  host: string;
  port: number;
}

/** Thrown for a missing or malformed setting; its message names the variable and fits one line. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/** Reads every setting of the table from the environment. Throws SettingError. */
export function readSettings<S extends Settings>(settings: S, env: NodeJS.ProcessEnv = process.env): Values<S> {
  const entries = Object.entries(settings).map(([key, setting]) => [key, readSetting(setting, env)]);
  return Object.fromEntries(entries) as Values<S>;
}

function readSetting<T>(setting: Setting<T>, env: NodeJS.ProcessEnv): T {
  const text = env[setting.env];
  if (text === undefined || text === "") {
    if ("default" in setting) return setting.default as T;
    throw new SettingError(`${setting.env} must be set: ${setting.doc} (${setting.form})`);
  }
  try {
    return setting.parse(text);
  } catch (cause) {
    const came = setting.secret ? "something else" : JSON.stringify(text.slice(0, longestShown));
    // The cause repeats what came.
    throw new SettingError(`${setting.env} must be ${setting.form}; came ${came}`, setting.secret ? {} : { cause });
  }
}

/** Of what came, in characters. */
const longestShown = 200;

/** The kinds of settings. */
export const setting = {
  text: (spec: SettingSpec<string>): Setting<string> => ({ ...spec, form: "text", parse: (text) => text }),

  /** Unset: undefined. */
  optionalText: (spec: Omit<SettingSpec<string>, "default">): Setting<string | undefined> => ({
    ...spec,
    default: undefined,
    form: "text",
    parse: (text) => text,
  }),

  integer: (spec: SettingSpec<number> & { min?: number; max?: number }): Setting<number> => {
    const { min = 0, max = Number.MAX_SAFE_INTEGER, ...rest } = spec;
    return {
      ...rest,
      form: max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`,
      parse: (text) => {
        const value = Number(text);
        if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < min || value > max)
          throw new RangeError(text);
        return value;
      },
    };
  },

  /** A duration in milliseconds; written as a number, or with a unit: 250ms, 5s, 10m, 1h, 7d. */
  milliseconds: (spec: SettingSpec<number>): Setting<number> => ({
    ...spec,
    form: "a duration such as 500ms, 5s, 10m, 1h or 7d",
    parse: duration,
  }),

  flag: (spec: SettingSpec<boolean>): Setting<boolean> => ({
    ...spec,
    form: "true or false",
    parse: (text) => {
      if (text !== "true" && text !== "false") throw new RangeError(text);
      return text === "true";
    },
  }),

  oneOf: <const V extends string>(values: readonly V[], spec: SettingSpec<V>): Setting<V> => ({
    ...spec,
    form: `one of ${values.join(", ")}`,
    parse: (text) => {
      const value = values.find((candidate) => candidate === text);
      if (value === undefined) throw new RangeError(text);
      return value;
    },
  }),

  /** Where to listen, HOST:PORT or [IPV6]:PORT. The default is written the same way. */
  listen: (spec: Omit<SettingSpec<string>, "default"> & { default: string }): Setting<ListenAddress> => ({
    ...spec,
    default: parseListen(spec.default),
    form: "HOST:PORT",
    parse: parseListen,
  }),

  /** Address of a peer, http://HOST:PORT or https. */
  address: (spec: SettingSpec<string>): Setting<string> => ({
    ...spec,
    form: "http://HOST:PORT or https://HOST:PORT",
    parse: (text) => {
      const url = new URL(text);
      if (url.protocol !== "http:" && url.protocol !== "https:") throw new RangeError(text);
      return url.origin;
    },
  }),

  /** Where a service is reached from outside, perhaps below a path; without the slash at its end. Unset: undefined. */
  optionalUrl: (spec: Omit<SettingSpec<string>, "default">): Setting<string | undefined> => ({
    ...spec,
    default: undefined,
    form: "an http or https URL without user, query and fragment",
    parse: (text) => {
      const { protocol, username, password, search, hash, origin, pathname } = new URL(text);
      const isPlain = [username, password, search, hash].every((part) => part === "") && !/[?#]/.test(text);
      if (!isPlain || (protocol !== "http:" && protocol !== "https:")) throw new RangeError(text);
      return origin + pathname.replace(/\/+$/, "");
    },
  }),
};

/** HOST:PORT or [IPV6]:PORT; the port 0 takes a free one. Throws RangeError. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) throw new RangeError(`expected HOST:PORT, came "${text}"`);
  return { host, port };
}

const units: Record<string, number> = { "": 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)?$/.exec(text);
  const value = Number(match?.[1]) * (units[match?.[2] ?? ""] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw new RangeError(text);
  return value;
}
