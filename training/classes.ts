/* What the scenes are made of: names of icons, most of which all the sets of a kind share. */

/** Emoji, by the names of their packages. Each set has its own hand; the licences are in the packages. */
export const TRAINING_STYLES = [
  ...(['noto', 'noto-v1', 'fluent-emoji', 'fluent-emoji-flat', 'twemoji', 'emojione', 'fxemoji'] as const),
  ...(['streamline-emojis', 'emojione-monotone', 'fluent-emoji-high-contrast'] as const),
] as const;
/** Flat, with black outlines, and never seen in training. */
export const TEST_STYLES = ['openmoji'] as const;
/** Pictograms of one or two colours, by many hands, seen in training alone: what a thing looks like is told by its shape. */
export const PICTOGRAM_STYLES = [
  ...([
    'icon-park',
    'ph',
    'mdi',
    'tabler',
    'game-icons',
    'lucide',
    'lucide-lab',
    'mingcute',
    'hugeicons',
    'tdesign',
  ] as const),
  ...(['fa6-solid', 'streamline-color', 'streamline-flex-color', 'streamline-plump-color'] as const),
  ...(['streamline-cyber-color', 'streamline-ultimate-color'] as const),
] as const;
/** All that a training sees. */
export const SEEN_STYLES = [...TRAINING_STYLES, ...PICTOGRAM_STYLES] as const;
export type Style = (typeof SEEN_STYLES | typeof TEST_STYLES)[number];

/** The emoji of each class. A set may lack some of them. */
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

const VARIANTS = ['', '-fill', '-filled', '-line', '-outline', '-duotone', '-flat'];
const variants = (names: string) => names.split(' ').flatMap((name) => VARIANTS.map((variant) => name + variant));

/** The pictograms of each class. */
export const PICTOGRAMS: Readonly<Record<keyof typeof CLASSES, readonly string[]>> = {
  cat: variants('cat cat-big cat-1 cat-2 hollow-cat'),
  dog: variants('dog dog-1 dog-side dog-service dog-zodiac labrador-head sitting-dog jumping-dog'),
  horse: variants('horse horse-head horse-variant horse-variant-fast horse-zodiac'),
  elephant: variants('elephant elephant-face elephant-head circus-elephant'),
  penguin: variants('penguin'),
  fish: variants('fish fish-one fish-simple fish-symbol fish-fins allergens-fish'),
  butterfly: variants('butterfly butterfly-2'),
  turtle: variants('turtle tortoise sea-turtle'),
  octopus: variants('octopus'),
  snail: variants('snail'),
  car: variants('car car-2 car-3 car-4 car-01 car-02 car-03 car-04 car-05 car-side car-front city-car taxi car-taxi-1'),
  bus: variants('bus bus-one bus-two bus-1 bus-2 bus-01 bus-02 bus-03 bus-side bus-school school-bus school-bus-side'),
  bicycle: variants('bicycle bike bicycle-1 bicycle-01 bicycle-bike bicycle-basket dutch-bike aero-bike'),
  ship: variants('ship cruise ferry ferry-boat ship-cargo cargo-ship shipment-cargo-boat'),
  airplane: variants(
    'airplane plane airplane-01 airplane-02 airplane-tilt plane-tilt commercial-airplane airplane-enabled',
  ),
  rocket: variants('rocket rocket-one rocket-2 rocket-01 rocket-02 rocket-launch'),
  house: variants('house home home-1 home-2 home-3 home-4 home-01 home-02 home-03 home-variant home-two family-house'),
  cactus: variants('cactus cactus-2 cactus-pot'),
  sunflower: variants('sunflower'),
  mushroom: variants('mushroom mushroom-1 mushroom-01 mushroom-gills spotted-mushroom super-mushroom'),
  banana: variants('banana fruit-banana'),
  strawberry: variants('strawberry'),
  pizza: variants('pizza pizza-slice full-pizza pizza-01 pizza-02 pizza-03 pizza-04'),
  guitar: variants('guitar guitar-acoustic guitar-electric modern-music-electric-guitar'),
};

export const CLASS_NAMES: readonly string[] = Object.keys(CLASSES);

/** What a class may be called in a set. */
export function namesIn(style: Style, name: string): readonly string[] {
  const kind: Readonly<Record<string, readonly string[]>> = isPictogram(style) ? PICTOGRAMS : CLASSES;
  return kind[name] ?? [];
}

function isPictogram(style: Style): boolean {
  return PICTOGRAM_STYLES.some((other) => other === style);
}

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
