# Pushes so many jobs with Sidekiq; how many wait: ADDRESS QUEUE COUNT.
require "json"
require "sidekiq"
require "sidekiq/api"

address, queue, count = ARGV
Sidekiq.configure_client { |config| config.redis = { url: address } }

class Job
  include Sidekiq::Worker
end

count.to_i.times { |number| Job.set(queue: queue).perform_async(number) }
puts JSON.generate(waiting: Sidekiq::Queue.new(queue).size)
