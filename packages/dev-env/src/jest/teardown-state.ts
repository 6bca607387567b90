type Teardown = () => Promise<void>;

// jest may load setup and teardown as separate module instances; what they share is the process.
const key = Symbol.for("attestry.test.teardown");
const shared = globalThis as { [key]?: Teardown };

export function setTeardown(teardown: Teardown): void {
  shared[key] = teardown;
}

export function takeTeardown(): Teardown | undefined {
  const teardown = shared[key];
  delete shared[key];
  return teardown;
}
