/* What the scenes are made of: names of icons, most of which all the sets share. */

/** The artwork, by the names of its packages. Each set has its own hand; the licences are in the packages. */
export const TRAINING_STYLES = [
  ...(['noto', 'noto-v1', 'fluent-emoji', 'fluent-emoji-flat', 'twemoji', 'emojione', 'fxemoji'] as const),
  ...(['streamline-emojis', 'emojione-monotone', 'fluent-emoji-high-contrast'] as const),
] as const;
/** Flat, with black outlines, and never seen in training. */
export const TEST_STYLES = ['openmoji'] as const;
export type Style = (typeof TRAINING_STYLES)[number] | (typeof TEST_STYLES)[number];

/** The icons of each class. A set may lack some of them. */
export const CLASSES = {
  cat: ['cat', 'cat-face', 'black-cat', 'catside'],
  dog: ['dog', 'dog-face', 'guide-dog', 'service-dog', 'poodle', 'dogside'],
  horse: ['horse', 'horse-face'],
  elephant: ['elephant'],
  penguin: ['penguin', 'penguin-1', 'penguin-2'],
  fish: ['fish', 'tropical-fish', 'tropicalfish'],
  butterfly: ['butterfly'],
  turtle: ['turtle'],
  octopus: ['octopus'],
  snail: ['snail'],
  car: ['automobile', 'oncoming-automobile', 'oncomingautomobile', 'sport-utility-vehicle', 'taxi'],
  bus: ['bus', 'oncoming-bus', 'oncomingbus'],
  bicycle: ['bicycle'],
  ship: ['ship', 'passenger-ship'],
  airplane: ['airplane', 'small-airplane', 'airplane-departure'],
  rocket: ['rocket'],
  house: ['house', 'house-with-garden', 'housebuilding', 'housewithgarden'],
  cactus: ['cactus', 'cactus-1', 'cactus-2'],
  sunflower: ['sunflower', 'sunflower-1', 'sunflower-2'],
  mushroom: ['mushroom', 'brown-mushroom'],
  banana: ['banana'],
  strawberry: ['strawberry', 'strawberry-1', 'strawberry-2'],
  pizza: ['pizza', 'pizza-1', 'pizza-2', 'sliceofpizza'],
  guitar: ['guitar'],
} as const satisfies Record<string, readonly string[]>;

export const CLASS_NAMES: readonly string[] = Object.keys(CLASSES);

/** What else lies about in a scene: nothing that could be taken for one of the classes. */
export const DISTRACTORS: readonly string[] =
  `balloon light-bulb soccer-ball basketball trophy crown gem-stone bell candle envelope hourglass-done magnet anchor red-heart
  star cloud sun crescent-moon snowflake teacup-without-handle ice-cream soft-ice-cream hamburger doughnut cookie bread
  carrot ear-of-corn eggplant watermelon pear cherries broccoli popcorn chair door key scissors umbrella toilet bathtub backpack t-shirt jeans dress
  high-heeled-shoe top-hat glasses ring teddy-bear kite yo-yo joystick game-die puzzle-piece trumpet drum headphone telephone
  television laptop battery floppy-disk lollipop fire droplet rainbow tooth bone eye brain globe-showing-americas fuel-pump
  ferris-wheel crab spider snake frog pig bear panda rooster owl flamingo alarm-clock hammer camera closed-book pencil
  wrapped-gift birthday-cake egg tomato pineapple hot-pepper bomb microscope telescope snowman ringed-planet maple-leaf tulip
  t-rex`.split(/\s+/);
