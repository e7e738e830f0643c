// Two random words of a counter and a key: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011). The same counter gives the same words, in any order and on any device.
fn random(counter: vec2<u32>, key: vec2<u32>) -> vec2<u32> {
    let keys = array<u32, 3>(key.x, key.y, 0x1bd11bdau ^ key.x ^ key.y);
    let rotations = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    var x = counter.x + keys[0];
    var y = counter.y + keys[1];
{%- for round in range(20) %}
    x += y;
    y = ((y << rotations[{{ round % 8 }}]) | (y >> (32u - rotations[{{ round % 8 }}]))) ^ x;
{%- if round % 4 == 3 %}
{%- set group = (round + 1) // 4 %}
    x += keys[{{ group % 3 }}];
    y += keys[{{ (group + 1) % 3 }}] + {{ group }}u;
{%- endif %}
{%- endfor %}
    return vec2<u32>(x, y);
}
