/** Only so many of anything: the oldest give way, and are counted. Pure. */
export class Bounded<T> {
  private items: T[] = [];
  dropped = 0;
  readonly size: number;

  constructor(size: number) {
    this.size = size;
  }

  push(item: T): void {
    this.items.push(item);
    if (this.items.length > this.size) {
      this.items.shift();
      this.dropped += 1;
    }
  }

  /** All that is there, oldest first; it stays. */
  all(): readonly T[] {
    return this.items;
  }

  /** The oldest few (by default all), and they are gone from here. */
  take(count = this.items.length): T[] {
    return this.items.splice(0, count);
  }

  get length(): number {
    return this.items.length;
  }
}
